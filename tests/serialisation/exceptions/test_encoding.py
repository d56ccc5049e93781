"""The user's exception, from the worker to the client's `except` line."""

import asyncio
import json
import subprocess
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import CallTimeoutError
from distribute_challenge.serialisation import dumps, dumps_error, loads, loads_error
from distribute_challenge.serialisation.exceptions import packing
from tests.elsewhere import Client
from tests.serialisation.exceptions.raised import TwoArgumentsError, caught, returned


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
def test_exceptions_of_the_standard_library_keep_type_text_and_attributes(
    fail: Callable[[], object], attributes: list[str]
) -> None:
    """Text and attributes."""
    original, error = caught(fail), returned(fail)
    assert type(error) is type(original)
    assert str(error) == str(original)
    assert {name: getattr(error, name) for name in attributes} == {
        name: getattr(original, name) for name in attributes
    }


def test_the_traceback_ends_in_the_user_s_line() -> None:
    """File, line and function."""
    last = traceback.extract_tb(returned(key).__traceback__)[-1]
    assert (last.filename, last.name, last.line) == (
        __file__,
        "key",
        '{}["key"]  # type: ignore[index]',
    )


def test_cause_context_and_notes_are_preserved() -> None:
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


def test_nested_groups_come_back_however_deep() -> None:
    """The code does not recurse."""
    error: Exception = ValueError("inmost")
    for _ in range(300):
        error = ExceptionGroup("group", [error])
    back: Any = loads_error(dumps_error(error))
    for _ in range(300):
        (back,) = back.exceptions
    assert str(back) == "inmost"


def recurse() -> None:
    recurse()


def fail_in_the_depths(depth: int) -> None:
    if depth == 0:
        raise ValueError("bad token")
    fail_in_the_depths(depth - 1)


@pytest.mark.parametrize("as_value", [False, True])
def test_an_error_raised_deep_in_the_stack_keeps_its_type_and_frames(as_value: bool) -> None:
    """Hundreds of frames, with their lines."""
    for fail, kind in ((recurse, RecursionError), (partial(fail_in_the_depths, 450), ValueError)):
        original = caught(fail)
        error = (
            loads(dumps([original], "values").data)[0]
            if as_value
            else loads_error(dumps_error(original))
        )
        assert type(error) is kind
        frames = traceback.extract_tb(error.__traceback__)
        assert len(frames) > 450
        assert frames == traceback.extract_tb(original.__traceback__)


def chain_of(length: int) -> Exception:
    error: Exception = ValueError(0)
    for number in range(1, length):
        following = ValueError(number)
        following.__cause__, following.__context__ = error, KeyError(number)
        error = following
    return error


def causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__) is not None:
        found.append(cause)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("as_value", [False, True])
def test_a_long_chain_of_causes_is_preserved(as_value: bool) -> None:
    """A thousand causes take no more stack than one."""
    original = chain_of(1000)
    error = (
        loads(dumps(original, "a value").data) if as_value else loads_error(dumps_error(original))
    )
    assert [cause.args for cause in causes(error)] == [
        (number,) for number in reversed(range(1000))
    ]
    assert isinstance(error.__context__, KeyError)


def test_a_chain_longer_than_the_limit_ends_in_a_text_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is text, like all that cannot travel."""
    monkeypatch.setattr(packing, "MOST_EXCEPTIONS", 10)
    found = causes(loads_error(dumps_error(chain_of(100))))
    assert len(found) == 7
    assert "no more than 10 of a chain" in str(found[-1])


@pytest.mark.parametrize("as_value", [False, True])
def test_an_exception_with_circular_references_comes_back_with_them(as_value: bool) -> None:
    """Chain and attribute refer to it. An attribute that is also the cause is the same object."""
    original: Any = TwoArgumentsError(1, 2)
    cause: Any = TwoArgumentsError(3, 4)
    original.__cause__, cause.__context__ = cause, original
    original.a, cause.b = cause, original
    error: Any = (
        loads(dumps(original, "a value").data) if as_value else loads_error(dumps_error(original))
    )
    assert error.__cause__.__context__ is error
    assert error.a is error.__cause__
    assert error.a.b is error
    assert error.__suppress_context__


@pytest.mark.slow
def test_the_client_sees_its_own_frames_and_catches_its_own_classes(project: Client) -> None:
    """Classes of `__main__` and of project modules; no frame of the library on the worker's side."""
    project.write(
        app="class AppError(Exception):\n    pass\ndef inner():\n    raise AppError('in app')\n"
    )
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
    """It has none of the event loop that the library runs it in."""

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
