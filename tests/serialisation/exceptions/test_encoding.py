"""The user's exception, from the worker to the client's `except` line."""

import asyncio
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.outcome import add_note
from distribute_challenge.errors import CallTimeoutError, RemoteError, SerialisationError
from distribute_challenge.serialisation import dumps, dumps_error, dumps_plain, loads, loads_error
from distribute_challenge.serialisation.exceptions import packing
from distribute_challenge.serialisation.exceptions.node import Node, encoded
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


def unpicklable_class(base: type[Exception] = Exception) -> type[Exception]:
    """A class that cannot travel, as it holds a lock."""
    return type("Odd", (base,), {"lock": threading.Lock(), "__module__": __name__})


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


class EndsTheProcess:
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


class EndlessError(Exception):
    def __reduce__(self) -> Any:
        return self.__reduce__()


class ExitError(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class TextReduceError(Exception):
    def __reduce__(self) -> Any:
        return "TextReduceError"


class ReducedError(Exception):
    def __init__(self, name: str, state: dict[str, int] | None = None) -> None:
        self.name, self.state = name, state

    def __reduce__(self) -> Any:
        return ReducedError, (self.name,), self.state


class SetterError(Exception):
    def __reduce__(self) -> Any:
        return SetterError, (), "set", None, None, _set_args


def _set_args(error: Exception, state: str) -> None:
    error.args = (state,)


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
def test_exceptions_of_the_standard_library_come_back_whole(
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


def test_text_stands_in_for_an_attribute_that_cannot_be_pickled() -> None:
    """The type and everything else come home; a note says what is missing."""

    def fail() -> None:
        raise LockError

    error = returned(fail)
    assert isinstance(error, LockError)
    assert str(error) == "holds a lock"
    assert str(error.lock).startswith("<unlocked _thread.lock object")
    assert "lock (TypeError: cannot pickle '_thread.lock' object)" in error.__notes__[0]
    assert traceback.extract_tb(error.__traceback__)[-1].line == "raise LockError"


def test_text_stands_in_for_a_part_that_cannot_be_unpickled() -> None:
    """This holds if it would end the process. The other parts come whole."""
    error = loads_error(dumps_error(ValueError(EndsTheProcess(), {1: TwoArgumentsError}, "text")))
    assert isinstance(error, ValueError)
    assert "EndsTheProcess object" in error.args[0]
    assert error.args[1:] == ({1: TwoArgumentsError}, "text")
    assert "args[0] (SystemExit: 3)" in error.__notes__[0]


def test_a_cause_whose_class_cannot_be_pickled_comes_as_a_remote_error() -> None:
    """The exception itself comes back, and so do the cause's own causes."""

    def fail() -> None:
        inner = KeyError("inner")
        try:
            raise unpicklable_class()("no luck") from inner
        except Exception as error:
            raise TwoArgumentsError(1, 2) from error

    error = returned(fail)
    assert isinstance(error, TwoArgumentsError)
    assert isinstance(error.__cause__, RemoteError)
    assert (error.__cause__.type_name, error.__cause__.text) == (f"{__name__}.Odd", "no luck")
    assert "raise unpicklable_class()" in error.__cause__.traceback_text
    assert isinstance(error.__cause__.__cause__, KeyError)


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
)
def test_what_would_end_the_client_comes_as_a_remote_error(kind: type[BaseException]) -> None:
    """The client decides for itself when to leave."""

    def fail() -> None:
        raise kind("bye")

    error = returned(fail)
    assert isinstance(error, RemoteError)
    assert error.type_name.endswith(kind.__name__)
    assert error.text == "bye"


@pytest.mark.parametrize(
    "kind", [UnloadableError, ChangingError, OtherError, EndlessError, ExitError]
)
def test_a_reduce_that_does_not_give_the_exception_back_is_passed_over(
    kind: type[Exception],
) -> None:
    """It is tried where it is raised; the exception is then taken apart without it."""
    error = loads_error(dumps_error(kind("no", 1)))
    assert type(error) is kind
    assert error.args == ("no", 1)


def test_a_reduce_that_works_is_used() -> None:
    """It may come with a state, or a way to set it."""
    error: Any = loads_error(dumps_error(ReducedError("a", {"b": 1})))
    assert isinstance(error, ReducedError)
    assert (error.name, error.b) == ("a", 1)  # type: ignore[attr-defined]
    error = loads_error(dumps_error(SetterError("a")))
    assert isinstance(error, SetterError)
    assert error.args == ("set",)
    error, text = loads(dumps([ReducedError("a", {"b": 1}), ChangingError("x")], "values").data)
    assert (error.name, error.b, text) == ("a", 1, "something else")
    with pytest.raises(SerialisationError, match="gave no tuple"):
        dumps(TextReduceError("x"), "a value")


def test_an_exception_without_a_text_comes_home() -> None:
    """A broken `__str__` loses no failure. If the class is lost, too, the text says why."""
    assert type(loads_error(dumps_error(UnreadableError()))) is UnreadableError
    error = loads_error(dumps_error(unpicklable_class(UnreadableError)()))
    assert isinstance(error, RemoteError)
    assert error.text == "<no text: str() raised builtins.SystemExit>"


@dataclass(frozen=True)
class FrozenError(Exception):
    item: str


class SlotsError(Exception):
    __slots__ = ("a", "b", "unset")

    def __init__(self, a: int, b: list[int]) -> None:
        self.a, self.b = a, b


class UnchangeableError(OSError):
    def __init__(self, code: int, *args: Any) -> None:
        super().__init__(*args)
        vars(self)["code"] = code

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("cannot be changed")

    def __getattr__(self, name: str) -> Any:
        raise SystemExit(name)

    def __eq__(self, other: object) -> bool:
        raise SystemExit("compared")

    __hash__ = OSError.__hash__


class NewError(Exception):
    def __new__(cls, a: int, b: int) -> Self:
        return super().__new__(cls, a)

    def __init__(self, a: int, b: int) -> None:
        self.b = b


class MoreError(ExceptionGroup[Exception]):
    def __new__(cls, message: str, errors: list[Exception], more: int) -> Self:
        made = super().__new__(cls, message, errors)
        made.more = more  # type: ignore[attr-defined]
        return made

    def __init__(self, *args: Any) -> None:
        pass


class AbortError(BaseException):
    pass


@pytest.mark.parametrize(
    ("original", "attributes"),
    [
        (FrozenError("pen"), {"item": "pen", "args": ("pen",)}),
        (SlotsError(1, [2]), {"a": 1, "b": [2], "args": (1, [2])}),
        (
            UnchangeableError(5, 2, "no", "file"),
            {"code": 5, "errno": 2, "filename": "file", "args": (2, "no")},
        ),
        (NewError(1, 2), {"b": 2, "args": (1,)}),
        (MoreError("m", [KeyError(1)], 3), {"more": 3, "message": "m"}),
        (AbortError("stop"), {"args": ("stop",)}),
        (NameError("x", name="x"), {"name": "x"}),
        (AttributeError("x", name="x", obj=threading.Lock()), {"name": "x", "obj": None}),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("as_value", [False, True])
def test_whatever_its_class_forbids_it_comes_back(
    original: Any, attributes: dict[str, Any], as_value: bool
) -> None:
    """None of its code runs, for a call's exception and for a part of a value."""
    add_note(original, "a note")
    error: Any = (
        loads(dumps([original], "values").data)[0]
        if as_value
        else loads_error(dumps_error(original))
    )
    assert type(error) is type(original)
    assert {name: getattr(error, name) for name in attributes} == attributes
    assert vars(error)["__notes__"][-1] == "a note"


def test_a_group_keeps_its_type_when_a_member_cannot_be_pickled() -> None:
    """The member is text."""
    error = loads_error(dumps_error(MoreError("m", [unpicklable_class()("no"), KeyError(1)], 3)))
    assert isinstance(error, MoreError)
    assert isinstance(error.exceptions[0], RemoteError)
    assert isinstance(error.exceptions[1], KeyError)


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
def test_an_error_from_the_depths_keeps_its_type_and_its_frames(as_value: bool) -> None:
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
def test_a_long_chain_comes_home_whole(as_value: bool) -> None:
    """A thousand causes take no more stack than one."""
    original = chain_of(1000)
    error = (
        loads(dumps(original, "a value").data) if as_value else loads_error(dumps_error(original))
    )
    assert [cause.args for cause in causes(error)] == [
        (number,) for number in reversed(range(1000))
    ]
    assert isinstance(error.__context__, KeyError)


def test_the_end_of_an_endless_chain_says_that_there_was_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is text, like all that cannot travel."""
    monkeypatch.setattr(packing, "MOST_EXCEPTIONS", 10)
    found = causes(loads_error(dumps_error(chain_of(100))))
    assert len(found) == 7
    assert "no more than 10 of a chain" in str(found[-1])


@pytest.mark.parametrize("as_value", [False, True])
def test_what_refers_to_itself_comes_back_as_it_was(as_value: bool) -> None:
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


def test_an_exception_is_left_as_it_was() -> None:
    """Pickling leaves it: in the `local` engine it may be the caller's own object."""

    def fail() -> None:
        raise LockError from unpicklable_class()("cause")

    error = caught(fail)
    cause, frames = error.__cause__, error.__traceback__
    dumps_error(error)
    assert (error.__cause__, error.__traceback__) == (cause, frames)


def test_a_part_that_is_too_large_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Megabytes travel; a bound keeps an error from filling Redis."""
    large = bytes(2_000_000)
    assert loads_error(dumps_error(ValueError(large))).args == (large,)
    monkeypatch.setattr(packing, "LARGEST_PART", 1_000_000)
    error = loads_error(dumps_error(ValueError(large, 1, [TwoArgumentsError, large])))
    assert error.args[1] == 1
    assert len(error.args[0]) < 2000
    assert len(error.args[2]) < 2000
    assert error.__notes__[0].count("2.0 MB are more than an exception may carry") == 2


def test_a_long_text_is_cut_where_it_stands_in_for_the_exception() -> None:
    """It is cut in its middle."""
    error = loads_error(dumps_error(SystemExit("x" * 1_000_000)))
    assert isinstance(error, RemoteError)
    assert len(error.text) < 110_000
    assert "900,000 characters left out" in error.text


def test_a_class_that_raises_whatever_is_asked_of_it_costs_the_type_alone() -> None:
    """The call fails all the same."""

    class Refusing(type):
        def __getattribute__(cls, name: str) -> Any:
            raise SystemExit(name)

    kind: Any = Refusing("Refused", (Exception,), {})
    error = loads_error(dumps_error(kind("text")))
    assert isinstance(error, RemoteError)
    assert (error.type_name, error.text) == ("Refused", "text")


class CtrlCError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_ctrl_c_goes_through() -> None:
    """It goes through any code of the user's in the client's main thread."""
    with pytest.raises(KeyboardInterrupt):
        dumps_error(CtrlCError())


def test_what_is_not_of_the_class_that_it_should_be_is_a_remote_error() -> None:
    """A name may mean something else in this process."""
    data = encoded([Node("app.Bad", "no luck", 0)], [dumps_plain("no class") or b""], "Traceback")
    error = loads_error(data)
    assert isinstance(error, RemoteError)
    assert (error.type_name, error.text, error.traceback_text) == (
        "app.Bad",
        "no luck",
        "Traceback",
    )


@pytest.mark.slow
def test_what_the_client_alone_cannot_unpickle_is_text_there(project: Client) -> None:
    """An attribute's class, the class of a cause, what a class's own `__reduce__` needs."""
    out = project.run("""
        class OwnError(Exception):
            pass
        class ReducedError(Exception):
            def __reduce__(self):
                return ReducedError, self.args
        @compute_this
        def fail(kind):
            import pathlib, sys
            pathlib.Path("only_here.py").write_text("class Odd(Exception): pass")
            sys.path.insert(0, ".")
            import only_here
            if kind == "reduced":
                raise ReducedError(only_here.Odd("in args"))
            error = OwnError("text", 1)
            error.odd = only_here.Odd("attribute")
            raise error from only_here.Odd("cause")
        try:
            fail("own").compute(backend=backend)
        except OwnError as error:
            print(error.args, error.odd, "only_here" in error.__notes__[-1], repr(error.__cause__)[:34])
        try:
            fail("reduced").compute(backend=backend)
        except ReducedError as error:
            print(error, "only_here" in error.__notes__[-1])
    """)
    assert out.splitlines() == [
        "('text', 1) <only_here.Odd object> True RemoteError('only_here.Odd', 'caus",
        "in args True",
    ]


@pytest.mark.slow
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
