"""From a recording to figures, pictures and a page."""
