"""Sizes as people write them."""

import pytest

from distribute_challenge.stores import as_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 kB"),
        (64_000_000, "61.0 MB"),
        (1 << 30, "1.0 GB"),
        (1 << 51, "2048.0 TB"),
    ],
)
def test_a_size_has_a_unit_that_fits(size: int, text: str) -> None:
    """With one digit behind the point."""
    assert as_size(size) == text
