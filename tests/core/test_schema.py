"""What a header may hold."""

from typing import Any

import pytest

from distribute_challenge.core.schema import (
    Check,
    checked,
    flag,
    number_up_to,
    optional,
    row_of,
    seconds,
    text,
)
from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.version import __version__

ENDLESS = float("inf")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (text, ["", "a", "é", "\U0001f600"], [None, 1, b"a", ["a"], "\ud800", "a\udfff"]),
        (
            seconds,
            [0, 1, 0.5, -1.0, 1e308],
            [None, True, "1", ENDLESS, -ENDLESS, float("nan"), 10**400, -(10**400)],
        ),
        (flag, [True, False], [0, 1, None, "true"]),
        (number_up_to(5), [0, 5], [-1, 6, 1.0, True, None, "1"]),
        (number_up_to(), [2**63 - 1], [2**63]),
        (optional(flag), [None, True], [0]),
        (row_of(flag), [[], [True, False]], [None, (True,), {}, "", [0], [True, None]]),
    ],
    ids=["text", "seconds", "flag", "number", "any number", "optional", "row"],
)
def test_a_check_accepts_exactly_the_values_of_its_field(
    check: Check, good: list[Any], bad: list[Any]
) -> None:
    assert [value for value in good if not check(value)] == []
    assert [value for value in bad if check(value)] == []


CHECKS: dict[str, Check] = {"name": text, "library": text}


def test_a_header_with_exactly_its_fields_is_accepted() -> None:
    header = {"name": "a", "library": __version__}
    assert checked(header, CHECKS) is header


@pytest.mark.parametrize(
    "header",
    [
        *(None, [], "x", {}, {"name": "a"}, {"name": 1, "library": __version__}),
        *({"name": "a", "library": __version__, "x": 1}, {"name": "a", "x": 1, "library": ["0"]}),
    ],
    ids=str,
)
def test_an_invalid_header_is_refused_without_quoting_the_sender(header: Any) -> None:
    with pytest.raises(
        ForgedError, match=r"^its header (is none|has other fields|has a name that none can have)$"
    ):
        checked(header, CHECKS)


def test_unknown_fields_of_another_version_are_a_version_mismatch_error() -> None:
    """They are a reason to install the same version."""
    with pytest.raises(
        VersionMismatchError,
        match=f"of distribute_challenge 9.9 .* that version {__version__} knows; install",
    ):
        checked({"name": "a", "library": "9.9", "new": 1}, CHECKS)
