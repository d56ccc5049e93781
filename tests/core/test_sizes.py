"""Sizes as people write them."""

import pytest

from distribute_challenge.core.sizes import as_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (64_000_000, "64.0 MB"),
        (10**9, "1.0 GB"),
        (2048 * 10**12, "2048.0 TB"),
    ],
)
def test_a_size_has_a_unit_that_fits(size: int, text: str) -> None:
    """It has one digit behind the point."""
    assert as_size(size) == text
