"""The calls of a batch, by number: each is loaded, and run, when its turn comes.

A call that follows others (`core.following`) gets a copy of their results. It is left out, and the
client sends it later, if there is none: another call failed, or its result needs the modules of the
user's project, which come with the functions that the client makes for it. So is a call that needs
another version of such a module than a call before it.
"""

from typing import Any

from distribute_challenge.core.outcome import UNBEGUN, Failure, Unbegun, add_note
from distribute_challenge.errors import CallCancelledError, ValueMissingError
from distribute_challenge.execution.attempts import failure_of, outcome_of
from distribute_challenge.execution.batch_run import BatchRun, FunctionMissingError
from distribute_challenge.execution.function_cache import (
    CachedFunction,
    FunctionCache,
    OtherVersionError,
)
from distribute_challenge.log import current_call
from distribute_challenge.serialisation import dumps, dumps_plain, unpack

__all__ = ["BatchCalls", "not_loaded", "noted_argument"]

_INSTALL = "What it imports must be installed there; with Docker Compose, name it in PACKAGES."


class _NotCopiedError(Exception):
    """There is no copy of a result for a call that follows."""


class BatchCalls:
    """Runs the call of a number; `execute` asks for each of a batch, in order.

    Args:
        run: The batch.
        functions: The cache that loads the functions of calls that follow others.
        function: The function of the batch itself.
    """

    def __init__(self, run: BatchRun, functions: FunctionCache, function: CachedFunction) -> None:
        self._run = run
        self._functions = functions
        self._function: CachedFunction | Failure | Unbegun = function
        self._parts = run.batch.parts()
        self._part, self._numbers = next(self._parts)
        self._copies: dict[int, bytes] = {}

    def __call__(self, number: int) -> Any:
        """Return the outcome of a call: a value, a `Failure`, or `UNBEGUN`.

        Raises:
            ValueMissingError: A value that it needs is not there.
            FunctionMissingError: Its function is not there.
        """
        if number >= self._numbers.stop:
            self._enter_next_part()
        function, run = self._function, self._run
        if isinstance(function, Failure | Unbegun):
            return function
        try:
            # The first call uses the function as it was just loaded.
            loaded = (
                function.again()
                if number > self._numbers.start and function.again is not None
                else function.loaded
            )
            args, kwargs = unpack(
                run.batch.arguments[number], run.large.open, result=self._copy_of_result
            )
        except ValueMissingError:
            raise
        except _NotCopiedError:
            return UNBEGUN
        except BaseException as error:
            return failure_of(noted_argument(self._part.name, run.worker, error))
        return outcome_of(self._part, loaded, args, kwargs)

    def cancelled(self) -> Failure:
        """Return the outcome of a call that was stopped."""
        return Failure(CallCancelledError(f"{self._part.name} was cancelled"))

    def _enter_next_part(self) -> None:
        part, self._numbers = next(self._parts)
        self._part = part
        current_call.set(part.name)
        try:
            function = self._functions.load(part.function, self._run.large.open, follows=True)
        except ValueMissingError:
            raise
        except OtherVersionError:
            self._function = UNBEGUN
            return
        except BaseException as error:
            add_note(error, f"{part.name} {not_loaded(self._run.worker, error)}")
            self._function = failure_of(error)
            return
        if function is None:
            raise FunctionMissingError(part.function)
        self._function = function

    def _copy_of_result(self, number: int) -> bytes:
        copy = self._copies.get(number)
        if copy is None:
            outcomes = self._run.progress.outcomes
            # The number comes from a message.
            outcome = outcomes[number] if 0 <= number < len(outcomes) else UNBEGUN
            copy = self._copies[number] = _copied(outcome)
        return copy


def _copied(outcome: Any) -> bytes:
    if type(outcome) is Failure or type(outcome) is Unbegun:
        raise _NotCopiedError
    copy = dumps_plain(outcome)
    if copy is not None:
        return copy
    try:
        copy, modules = dumps(outcome, "a result", unshared=True)
    except BaseException as error:
        # The reply will say why it cannot be pickled. An interrupt is raised again.
        failure_of(error)
        raise _NotCopiedError from None
    if modules:
        raise _NotCopiedError
    return copy


def noted_argument(name: str, worker: str, error: BaseException) -> BaseException:
    """Add a note to an error of unpickling arguments that says so, and return the error."""
    add_note(error, f"An argument of {name} {not_loaded(worker, error)}")
    return error


def not_loaded(worker: str, error: BaseException) -> str:
    """Return the text for a function or an argument that could not be unpickled."""
    text = f"could not be loaded on the worker {worker}."
    return f"{text} {_INSTALL}" if isinstance(error, ImportError) else text
