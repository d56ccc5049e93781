"""A value or a failure."""

import pytest

from distribute_challenge.core.outcome import Failure, unwrap


def test_unwrap_returns_values_including_exceptions() -> None:
    """An exception that was returned is a value, and is not raised."""
    error = ValueError("returned")
    assert unwrap(4) == 4
    assert unwrap(error) is error


def test_a_failure_is_raised_as_the_exception_itself() -> None:
    """The very object."""
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        unwrap(Failure(error))
    assert caught.value is error
