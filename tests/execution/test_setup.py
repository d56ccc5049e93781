"""What runs once in a process before the first call of a function, here in this process."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from distribute_challenge.core.interrupts import InterruptError
from distribute_challenge.core.setup import Setup
from distribute_challenge.errors import SetupError
from distribute_challenge.execution.setup import KEPT_RECORDS, set_up_first
from distribute_challenge.serialisation import LoadedFunction, Script
from distribute_challenge.serialisation.script.namespace import Definition, ScriptParts
from tests.forks import ended, fork

TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


def loaded(setup: Callable[[], Any], key: str, script: Script | None = None) -> Callable[..., Any]:
    function = LoadedFunction(lambda x: x, (), is_async=False, setup=(key, setup))
    return set_up_first(function, script or Script(ScriptParts())).function


def test_a_function_without_a_setup_stays_as_it_is() -> None:
    function = LoadedFunction(abs, (), is_async=False)
    assert set_up_first(function, Script(ScriptParts())) is function


def test_a_setup_with_the_same_key_runs_once_for_all_functions() -> None:
    ran: list[str] = []
    setup = Setup(ran.append, ("a",))
    first, second = loaded(setup, "same"), loaded(setup, "same")
    other = loaded(Setup(ran.append, ("b",)), "another")
    assert [first(1), first(2), second(3)] == [1, 2, 3]
    assert ran == ["a"]
    other(1)
    assert ran == ["a", "b"]


def test_only_the_setups_used_last_are_remembered_and_others_run_again() -> None:
    """Others run again."""
    ran: list[str] = []
    for _ in range(2):
        loaded(Setup(ran.append, ("a",)), "remembered")(1)
    assert ran == ["a"]
    for number in range(KEPT_RECORDS):
        loaded(Setup(len, ("",)), f"other {number}")(1)
    loaded(Setup(ran.append, ("a",)), "remembered")(1)
    assert ran == ["a", "a"]


def test_functions_of_a_script_find_what_the_setup_of_another_has_set() -> None:
    """They have a namespace each. The definitions of one are not copied to the other."""
    definitions = {"helper": Definition(b"", (), (), (), "")}
    scripts = [Script(ScriptParts(definitions=definitions)) for _ in range(2)]

    def setup(script: Script) -> None:
        script.globals.update(model="loaded", helper=len)

    functions = [loaded(partial(setup, script), "model", script) for script in scripts]
    for function in functions:
        function(1)
    assert [script.globals.get("model") for script in scripts] == ["loaded", "loaded"]
    assert [script.globals.get("helper") for script in scripts] == [len, None]


def test_a_setup_that_raised_runs_again_at_the_next_call() -> None:
    """The error names it and the function, and has its exception as the cause."""
    errors = [FileNotFoundError("weights"), None]

    def load() -> None:
        error = errors.pop(0)
        if error is not None:
            raise error

    function = loaded(load, "fails")
    with pytest.raises(
        SetupError, match=r"^load, .* of <lambda>, raised FileNotFoundError: weights$"
    ) as caught:
        function(1)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.key == "fails"
    assert function(2) == 2


def test_an_error_names_the_initializer_of_an_executor() -> None:
    with pytest.raises(SetupError, match=r"^divmod, .* raised ZeroDivisionError"):
        loaded(Setup(divmod, (1, 0)), "zero")(1)


@pytest.mark.parametrize("interrupt", [InterruptError, KeyboardInterrupt])
def test_an_interrupt_in_a_setup_is_raised_unchanged_and_the_setup_runs_again(
    interrupt: type[BaseException],
) -> None:
    """A time limit, a cancellation and Ctrl+C end the call; the next call tries it again."""
    interrupts = [interrupt()]

    def setup() -> None:
        if interrupts:
            raise interrupts.pop()

    function = loaded(setup, interrupt.__name__)
    with pytest.raises(interrupt):
        function(1)
    assert function(2) == 2


def test_a_coroutine_function_is_run_to_its_end() -> None:
    ran: list[int] = []

    async def setup() -> None:
        await asyncio.sleep(0)
        ran.append(1)

    loaded(setup, "async")(1)
    assert ran == [1]


def test_a_setup_may_call_the_function_that_it_belongs_to() -> None:
    """That call does not wait for the setup that it is a part of."""
    functions: list[Callable[..., Any]] = []
    function = loaded(lambda: functions[0](1), "inner")
    functions.append(function)
    assert function(2) == 2


def test_a_forked_child_of_a_setup_may_call_the_function_of_the_setup() -> None:
    functions: list[Callable[..., Any]] = []
    codes: list[int] = []
    function = loaded(lambda: codes.append(ended(fork(lambda: functions[0](1) == 1))), "forks")
    functions.append(function)
    assert function(2) == 2
    assert codes == [1]


def test_other_threads_wait_until_the_setup_has_ended() -> None:
    begun, may_end = threading.Event(), threading.Event()
    ran: list[int] = []

    def setup() -> None:
        begun.set()
        may_end.wait(TIMEOUT)
        ran.append(1)

    function, seen = loaded(setup, "threads"), list[int]()

    def call() -> None:
        function(1)
        seen.append(len(ran))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(TIMEOUT)
    may_end.set()
    for thread in threads:
        thread.join(TIMEOUT)
    assert ran == [1]
    assert seen == [1, 1, 1]
