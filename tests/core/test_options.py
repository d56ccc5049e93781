"""How calls are to be run."""

import dataclasses
import math
from typing import Any

import pytest

from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import OptionError


def test_the_defaults_are_no_limit_no_retry_and_the_default_queue() -> None:
    """Nothing happens that the user did not ask for."""
    assert CallOptions() == CallOptions(None, None, 0, (Exception,), "distribute_challenge", 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", -1.0),
        ("timeout", "1"),
        ("timeout", True),
        ("timeout", math.nan),
        ("timeout", math.inf),
        ("retries", -1),
        ("retries", 1.0),
        ("retries", False),
        ("retry_on", "OSError"),
        ("retry_on", int),
        ("retry_on", (OSError, 3)),
        ("queue", ""),
        ("queue", "  "),
        ("queue", None),
        ("priority", -1),
        ("priority", 10),
        ("priority", 0.5),
        ("queue_timeout", 0),
        ("queue_timeout", "soon"),
        ("at_most_once", 1),
        ("at_most_once", None),
        ("setup", "load_model"),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: Any) -> None:
    """The message shows the option and what it got."""
    with pytest.raises(OptionError) as caught:
        CallOptions(**{name: value})
    assert f"{name}={value!r}" in str(caught.value)


def test_at_most_once_with_retries_is_an_error() -> None:
    with pytest.raises(OptionError, match=r"at_most_once=True with retries=2: .* choose one"):
        CallOptions(retries=2, at_most_once=True)


@pytest.mark.parametrize("value", [OSError, (OSError,), [OSError]])
def test_retry_on_takes_a_class_or_several(value: Any) -> None:
    """They are kept as a tuple, as `isinstance` wants them."""
    assert CallOptions(retry_on=value).retry_on == (OSError,)


def test_retry_on_takes_base_exceptions() -> None:
    """A user may want to retry after SystemExit."""
    assert CallOptions(retry_on=SystemExit).retry_on == (SystemExit,)


def test_the_highest_and_lowest_values_are_allowed() -> None:
    """The edges belong to the range."""
    assert CallOptions(priority=9, timeout=0.001).priority == 9
    assert CallOptions(priority=0, timeout=1).timeout == 1


def test_updated_changes_one_option_and_leaves_the_original() -> None:
    """Options are values."""
    before = CallOptions(retries=2)
    assert before.updated(timeout=1.5) == CallOptions(retries=2, timeout=1.5)
    assert before.timeout is None


def test_updated_checks_the_new_values() -> None:
    """It checks them as the constructor does."""
    with pytest.raises(OptionError, match="retries=-1"):
        CallOptions().updated(retries=-1)


def test_updated_names_all_options_when_it_is_given_none() -> None:
    """A typing error is answered with the right words."""
    with pytest.raises(
        OptionError, match="'retry' is no option; the options are backend, timeout, retries"
    ):
        CallOptions().updated(retry=1)


def test_options_cannot_be_changed() -> None:
    """They are shared by all calls of a function."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        CallOptions().retries = 3  # type: ignore[misc]
