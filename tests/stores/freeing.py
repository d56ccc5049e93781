"""Freeing all that a depot keeps only for a while."""

from distribute_challenge.stores import Depot

FOREVER = 1e12  # Later than any time that a value can linger.


def free_all(kept: Depot) -> None:
    kept.sweep(FOREVER)
