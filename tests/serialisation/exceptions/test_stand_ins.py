"""What stands in for an exception, or a part of it, that cannot travel."""

import asyncio
import sys
import threading
import traceback
from typing import Any

import pytest

from distribute_challenge.errors import RemoteError
from distribute_challenge.serialisation import dumps_error, dumps_plain, loads_error
from distribute_challenge.serialisation.exceptions import packing
from distribute_challenge.serialisation.exceptions.node import Node, encoded
from tests.elsewhere import Client
from tests.serialisation.exceptions.raised import MoreError, TwoArgumentsError, caught, returned


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
def test_an_exception_that_would_end_the_client_comes_as_a_remote_error(
    kind: type[BaseException],
) -> None:
    """The client decides for itself when to leave."""

    def fail() -> None:
        raise kind("bye")

    error = returned(fail)
    assert isinstance(error, RemoteError)
    assert error.type_name.endswith(kind.__name__)
    assert error.text == "bye"


def test_an_exception_with_a_broken_str_keeps_its_type() -> None:
    """A broken `__str__` loses no failure. If the class is lost, too, the text says why."""
    assert type(loads_error(dumps_error(UnreadableError()))) is UnreadableError
    error = loads_error(dumps_error(unpicklable_class(UnreadableError)()))
    assert isinstance(error, RemoteError)
    assert error.text == "<no text: str() raised builtins.SystemExit>"


def test_a_group_keeps_its_type_when_a_member_cannot_be_pickled() -> None:
    """The member is text."""
    error = loads_error(dumps_error(MoreError("m", [unpicklable_class()("no"), KeyError(1)], 3)))
    assert isinstance(error, MoreError)
    assert isinstance(error.exceptions[0], RemoteError)
    assert isinstance(error.exceptions[1], KeyError)


def test_pickling_does_not_change_the_exception() -> None:
    """Pickling leaves it: in the `local` engine it may be the caller's own object."""

    def fail() -> None:
        raise LockError from unpicklable_class()("cause")

    error = caught(fail)
    cause, frames = error.__cause__, error.__traceback__
    dumps_error(error)
    assert (error.__cause__, error.__traceback__) == (cause, frames)


def test_a_part_of_an_exception_above_the_limit_is_replaced_by_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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


def test_an_exception_with_an_inaccessible_class_becomes_a_remote_error() -> None:
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


def test_a_keyboard_interrupt_while_an_exception_is_pickled_is_raised() -> None:
    """It goes through any code of the user's in the client's main thread."""
    with pytest.raises(KeyboardInterrupt):
        dumps_error(CtrlCError())


def test_an_exception_whose_class_is_not_an_exception_here_becomes_a_remote_error() -> None:
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
def test_parts_of_an_error_that_the_client_cannot_unpickle_come_as_text(project: Client) -> None:
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
