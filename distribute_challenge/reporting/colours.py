"""The colours of pictures: Okabe and Ito's, which people with any colour vision can tell apart."""

__all__ = ["BLUE", "CATEGORIES", "GREEN", "GREY", "ORANGE"]

BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
#: Those of things that are told apart, in order.
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, SKY)
GREY = "#6b6b6b"
