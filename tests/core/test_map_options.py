"""The options of a map, and the other names that some of them have."""

from typing import Any

import pytest

from distribute_challenge.core.map_options import MapOptions
from distribute_challenge.errors import OptionError


def test_option_names_of_other_libraries_are_accepted_as_aliases() -> None:
    assert MapOptions.of(chunksize=3) == MapOptions(batch_size=3)
    assert MapOptions.of(return_exceptions=True) == MapOptions(on_error="return")
    assert MapOptions.of(return_exceptions=False, on_error="return") == MapOptions(
        on_error="return"
    )
    assert MapOptions.of(ordered=False, timeout=0) == MapOptions(ordered=False, timeout=0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"chunksize": 0}, "chunksize=0: expected a whole number"),
        ({"chunksize": "2"}, "chunksize='2': expected a whole number"),
        ({"batch_size": True}, "batch_size=True: expected a whole number"),
        ({"chunksize": 2, "batch_size": 3}, "chunksize=2 and batch_size=3, which are the same"),
        ({"return_exceptions": 1}, "return_exceptions=1: expected True or False"),
        ({"on_error": "ignore"}, "on_error='ignore': expected 'raise' or 'return'"),
        ({"timeout": -1}, "timeout=-1: expected seconds of at least 0"),
        ({"timeout": "soon"}, "timeout='soon': expected seconds of at least 0"),
        ({"timeout": float("inf")}, "timeout=inf: expected seconds of at least 0"),
        ({"timeout": True}, "timeout=True: expected seconds of at least 0"),
    ],
)
def test_a_value_out_of_range_is_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        MapOptions.of(**options)
