"""The tree of errors."""

import builtins
import concurrent.futures
import pickle

import pytest

from distribute_challenge import errors
from distribute_challenge.errors import CallError, DistributeChallengeError, RemoteError


def test_every_public_error_is_a_distribute_challenge_error() -> None:
    """One `except DistributeChallengeError` catches all that the library raises itself."""
    for kind in (getattr(errors, name) for name in errors.__all__ if name != "Attempt"):
        assert issubclass(kind, DistributeChallengeError | Warning)


def test_every_error_class_is_public() -> None:
    """`__all__` names every error class of the file and nothing else."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert classes == set(errors.__all__)


def test_the_tree_at_the_top_of_the_file_names_every_error() -> None:
    """The drawing in the docstring is complete."""
    assert all(name in (errors.__doc__ or "") for name in errors.__all__ if name != "Attempt")


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("CallError", TypeError),
        ("SignatureError", CallError),
        ("UnsupportedFunctionError", CallError),
        ("OptionError", CallError),
        ("BackendError", CallError),
        ("SerialisationError", CallError),
        ("SerialisationError", pickle.PicklingError),
        ("BrokerUnreachableError", errors.SystemFailureError),
        ("BrokerUnreachableError", ConnectionError),
        ("ClusterStartError", errors.SystemFailureError),
        ("StoreFullError", errors.SystemFailureError),
        ("ValueLostError", errors.SystemFailureError),
        ("ValueMissingError", errors.SystemFailureError),
        ("WorkerLostError", errors.SystemFailureError),
        ("VersionMismatchError", errors.SystemFailureError),
        ("ResultTimeoutError", TimeoutError),
        ("CallTimeoutError", TimeoutError),
        ("CallCancelledError", concurrent.futures.CancelledError),
        ("CallCancelledError", errors.ResultUnavailableError),
    ],
)
def test_errors_inherit_from_the_matching_built_in_exceptions(
    name: str, parent: type[BaseException]
) -> None:
    """Code that catches the built-in class catches ours."""
    assert issubclass(getattr(errors, name), parent)


def test_no_error_has_the_name_of_a_built_in() -> None:
    """No name of ours is also a built-in's."""
    assert not set(errors.__all__) & set(dir(builtins))


def test_a_remote_error_shows_type_text_and_the_worker_s_traceback() -> None:
    """All that is known of the original is in its text."""
    text = str(RemoteError("app.Bad", "no luck", "Traceback: line 7"))
    assert text.startswith("app.Bad: no luck")
    assert "line 7" in text


def test_a_remote_error_survives_pickling() -> None:
    """A call inside a call can hand it on."""
    error = pickle.loads(pickle.dumps(RemoteError("app.Bad", "no luck", "Traceback")))
    assert (error.type_name, error.text, error.traceback_text) == (
        "app.Bad",
        "no luck",
        "Traceback",
    )


@pytest.mark.parametrize(
    "error", [errors.ValueLostError("a text", ["a", "b"]), errors.ValueMissingError(["a", "b"])]
)
def test_an_error_about_large_values_keeps_their_names_when_pickled(
    error: errors.ValueLostError | errors.ValueMissingError,
) -> None:
    """It may be raised in a call inside a call."""
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.keys) == (str(error), ("a", "b"))
