"""The user's exception, from the worker to the client's `except` line."""

import asyncio
import json
import subprocess
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import CallTimeoutError, RemoteError
from distribute_challenge.serialisation import dumps, dumps_error, loads_error
from tests.elsewhere import Client


def caught(function: Callable[[], object]) -> BaseException:
    """What a function raises, with the traceback it raises it with."""
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def returned(function: Callable[[], object]) -> BaseException:
    """What a function raises, as the client gets it."""
    return loads_error(dumps_error(caught(function)))


class TwoArgumentsError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")
        self.a = a
        self.b = b


class LockError(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class UnloadableError(Exception):
    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise OSError("cannot be loaded")


class ChangingError(Exception):
    def __reduce__(self) -> Any:
        return str, ("something else",)


class OtherError(Exception):
    def __reduce__(self) -> Any:
        return ValueError, ("something else",)


def test_an_exception_with_its_own_init_comes_back_with_its_attributes() -> None:
    """Although its arguments are not its `args`."""

    def fail() -> None:
        raise TwoArgumentsError(1, 2)

    error = returned(fail)
    assert isinstance(error, TwoArgumentsError)
    assert (error.a, error.b, str(error)) == (1, 2, "1 and 2")


def decode() -> None:
    b"\xff".decode("utf-8")


def encode() -> None:
    "é".encode("ascii")


def compile_nonsense() -> None:
    compile("def (", "file.py", "exec")


def parse() -> None:
    json.loads("{")


def open_nothing() -> None:
    open("/no/such/file")  # noqa: SIM115


def run_nothing() -> None:
    raise subprocess.CalledProcessError(3, ["false"], "out", "err")


def stop() -> None:
    raise StopIteration(7)


def import_nothing() -> None:
    import no_such_module  # type: ignore[import-not-found] # noqa: F401


def key() -> None:
    {}["key"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("fail", "attributes"),
    [
        (decode, ["encoding", "object", "start", "end", "reason"]),
        (encode, ["encoding", "object", "start", "end", "reason"]),
        (compile_nonsense, ["filename", "lineno", "offset", "text", "msg"]),
        (parse, ["doc", "pos", "lineno", "colno", "msg"]),
        (open_nothing, ["errno", "filename", "strerror"]),
        (run_nothing, ["returncode", "cmd", "stdout", "stderr"]),
        (stop, ["value"]),
        (import_nothing, ["name"]),
        (key, ["args"]),
    ],
)
def test_exceptions_of_the_standard_library_come_back_whole(fail: Callable[[], object], attributes: list[str]) -> None:
    """Text and attributes."""
    original, error = caught(fail), returned(fail)
    assert type(error) is type(original)
    assert str(error) == str(original)
    assert {name: getattr(error, name) for name in attributes} == {name: getattr(original, name) for name in attributes}


def test_the_traceback_ends_in_the_user_s_line() -> None:
    """File, line and function."""
    last = traceback.extract_tb(returned(key).__traceback__)[-1]
    assert (last.filename, last.name, last.line) == (__file__, "key", '{}["key"]  # type: ignore[index]')


def test_cause_context_and_notes_come_along() -> None:
    """`raise from`, an error while handling another, and `add_note`."""

    def fail() -> None:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904
        except ValueError as error:
            error.add_note("a note")
            raise TypeError("third") from error

    error = returned(fail)
    assert isinstance(error, TypeError)
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.__notes__ == ["a note"]
    assert isinstance(error.__cause__.__context__, KeyError)
    assert error.__suppress_context__


def test_an_exception_group_comes_back_with_its_parts() -> None:
    """Each with its own traceback."""

    def fail() -> None:
        errors = [caught(key), ExceptionGroup("inner", [TwoArgumentsError(1, 2)])]
        raise ExceptionGroup("outer", errors)  # type: ignore[type-var]

    error = returned(fail)
    assert isinstance(error, ExceptionGroup)
    first, inner = error.exceptions
    assert isinstance(first, KeyError)
    assert traceback.extract_tb(first.__traceback__)[-1].name == "key"
    assert isinstance(inner, ExceptionGroup)
    assert isinstance(inner.exceptions[0], TwoArgumentsError)


def test_an_exception_that_holds_a_lock_comes_as_a_remote_error() -> None:
    """With its type, text and traceback."""

    def fail() -> None:
        raise LockError

    error = returned(fail)
    assert isinstance(error, RemoteError)
    assert (error.type_name, error.text) == (f"{__name__}.LockError", "holds a lock")
    assert "raise LockError" in error.traceback_text


def test_a_cause_that_cannot_be_pickled_is_left_out() -> None:
    """The exception itself comes back."""

    def fail() -> None:
        raise TwoArgumentsError(1, 2) from LockError()

    error = returned(fail)
    assert isinstance(error, TwoArgumentsError)
    assert error.__cause__ is None
    assert traceback.extract_tb(error.__traceback__)[-1].name == "fail"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_what_would_end_the_client_comes_as_a_remote_error(kind: type[BaseException]) -> None:
    """The client decides for itself when to leave."""

    def fail() -> None:
        raise kind("bye")

    error = returned(fail)
    assert isinstance(error, RemoteError)
    assert error.type_name.endswith(kind.__name__)
    assert error.text == "bye"


@pytest.mark.parametrize("kind", [UnloadableError, ChangingError, OtherError])
def test_an_exception_that_does_not_come_back_as_itself_is_a_remote_error(kind: type[Exception]) -> None:
    """It is tried where it is raised."""

    def fail() -> None:
        raise kind("no")

    error = returned(fail)
    assert isinstance(error, RemoteError)
    assert error.type_name == f"{__name__}.{kind.__name__}"


def test_an_exception_without_a_text_says_why() -> None:
    """A broken `__str__` does not lose the failure."""

    def fail() -> None:
        raise type(
            "Lost", (UnreadableError,), {"lock": None, "__init__": lambda self: setattr(self, "l", threading.Lock())}
        )

    error = returned(fail)
    assert isinstance(error, RemoteError)
    assert error.text == "<its text cannot be had: ValueError>"


def test_a_class_that_the_client_does_not_know_comes_as_a_remote_error(project: Client) -> None:
    """Made by a module that only the worker can import."""
    out = project.run("""
        from distribute_challenge.errors import RemoteError
        @compute_this
        def fail():
            import pathlib, sys
            pathlib.Path("only_here.py").write_text("class OddError(Exception): pass")
            sys.path.insert(0, ".")
            import only_here
            raise only_here.OddError("strange")
        try:
            fail().compute(backend=backend)
        except RemoteError as error:
            print(error.type_name, error.text, "only_here.OddError: strange" in error.traceback_text)
    """)
    assert out == "only_here.OddError strange True"


def test_the_client_sees_its_own_frames_and_catches_its_own_classes(project: Client) -> None:
    """Classes of `__main__` and of project modules; no frame of the library on the worker's side."""
    project.write(app="class AppError(Exception):\n    pass\ndef inner():\n    raise AppError('in app')\n")
    out = project.run("""
        import traceback, app
        class MainError(Exception): pass
        @compute_this
        def fails_in_app(): app.inner()
        @compute_this
        def fails_in_main(): raise MainError("in main")
        for call, kind in ((fails_in_app(), app.AppError), (fails_in_main(), MainError)):
            error = call.submit(backend=backend).exception()
            print(isinstance(error, kind), [(f.name, f.line) for f in traceback.extract_tb(error.__traceback__)])
    """)
    assert out.splitlines() == [
        """True [('fails_in_app', 'def fails_in_app(): app.inner()'), ('inner', "raise AppError('in app')")]""",
        """True [('fails_in_main', 'def fails_in_main(): raise MainError("in main")')]""",
    ]


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_coroutine_s_traceback_has_no_frame_of_the_library(in_loop: bool) -> None:
    """Nor of the event loop that the library runs it in."""

    @compute_this(backend="local")
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def main() -> BaseException | None:
        return fail().submit().exception()

    error = asyncio.run(main()) if in_loop else fail().submit().exception()
    assert error is not None
    frames = traceback.extract_tb(error.__traceback__)
    assert [frame.name for frame in frames] == ["fail"]


def test_an_error_of_this_library_keeps_its_class() -> None:
    """Raised by a call inside a call."""

    def fail() -> None:
        raise CallTimeoutError("too long")

    assert isinstance(returned(fail), CallTimeoutError)


def test_a_returned_exception_is_a_value() -> None:
    """It is pickled as any other."""
    assert dumps(ValueError("x"), "a value").data


def test_what_this_process_cannot_unpickle_is_a_remote_error() -> None:
    """Its text is all that is left."""
    packed = dumps((b"nonsense", "app.Bad", "no luck", "Traceback"), "the error").data
    error = loads_error(packed)
    assert isinstance(error, RemoteError)
    assert (error.type_name, error.text, error.traceback_text) == ("app.Bad", "no luck", "Traceback")
