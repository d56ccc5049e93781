"""The one place where user code runs, on every backend: bytes in, bytes out.

`execute` takes an encoded `Batch`, runs its calls one after the other, and gives encoded `Reply` frames. It
knows nothing of brokers: whoever calls it brings the function's payload and takes the replies.
"""

import pickle
import random
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, Protocol

from distribute_challenge.errors import DistributeChallengeError, ValueMissingError
from distribute_challenge.log import current_call
from distribute_challenge.messages import Batch, Problem, Reply, Task
from distribute_challenge.outcome import Failure, unwrap
from distribute_challenge.sections import pieces_of, sections_of
from distribute_challenge.serialisation import (
    Keep,
    LoadedFunction,
    Open,
    ProjectImporter,
    load_function,
    load_modules,
    unpack,
)
from distribute_challenge.stores import Reference
from distribute_challenge.time_limit import OverdueError, time_limit

__all__ = ["FunctionCache", "LargeValues", "become_worker", "callable_bytes", "execute", "inside_call"]

FLUSH_AFTER = 0.05  # Seconds after which finished outcomes go home while the rest of the batch runs.
GIVE_BACK_AFTER = 0.2  # Seconds after which a worker gives the calls it has not begun back to the client.
FIRST_PAUSE = 0.05  # Seconds before the first retry; doubled for each further one,
LONGEST_PAUSE = 5.0  # up to this.
_KEPT_FUNCTIONS = 128  # A guess: more functions than one study calls, fewer than fill a memory.
_NO_LIMIT = nullcontext()

_inside_call: ContextVar[bool] = ContextVar("distribute_challenge_inside_call", default=False)
_is_worker = False


def become_worker() -> None:
    """Say that this process exists to run calls: whatever it calls runs here too, in any of its threads."""
    global _is_worker
    _is_worker = True


def inside_call() -> bool:
    """Whether the code that asks is part of a running call. Its own calls then run in place (see docs)."""
    return _is_worker or _inside_call.get()


class LargeValues(Protocol):
    """What `execute` asks of an engine whose clients keep large values in stores."""

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        """The bytes of a value, not to be written to.

        Raises:
            ValueMissingError: It lies in none of these places, as far as this machine sees.
        """

    def keep(self, buffer: memoryview, places: Sequence[str]) -> Reference | None:
        """Put a part of a result where the client finds it; None if no place will have it: it travels in the reply."""


class FunctionCache:
    """The functions that this process has loaded, the latest used kept.

    Args:
        fetch: Gives the payload for a digest, or None if nobody has it.
        importer: Makes the user's own modules importable; None in the client's own process, which has them.
    """

    def __init__(self, fetch: Callable[[str], bytes | None], importer: ProjectImporter | None = None) -> None:
        self._fetch = fetch
        self._importer = importer
        self._loaded: dict[str, tuple[list[Any], LoadedFunction | bytes]] = {}

    def load(self, digest: str, open: Open | None = None) -> LoadedFunction | None:  # noqa: A002
        """The function of a digest with its modules importable, or None if its payload is not to be had.

        Args:
            digest: The function's name.
            open: Gives the large values that it captures.

        Raises:
            ValueMissingError: One of them is not to be had.
        """
        if digest in self._loaded:
            modules, function = self._loaded[digest] = self._loaded.pop(digest)
            self._activate(modules)
            return load_function(function, open) if isinstance(function, bytes) else function
        payload = self._fetch(digest)
        if payload is None:
            return None
        modules, data = load_modules(payload)
        self._activate(modules)
        loaded = load_function(data, open)
        # One that holds large values is loaded each time: kept, it would keep them when nobody else needs them.
        self._loaded[digest] = modules, data if loaded.holds_values else loaded
        if len(self._loaded) > _KEPT_FUNCTIONS:
            del self._loaded[next(iter(self._loaded))]
        return loaded

    def _activate(self, modules: list[Any]) -> None:
        if self._importer is not None:
            self._importer.activate(modules)


def execute(frame: bytes, functions: FunctionCache, worker: str, values: LargeValues | None = None) -> Iterator[bytes]:
    """Run the calls of one batch.

    Args:
        frame: An encoded `Batch`.
        functions: Where the function comes from.
        worker: Name of this process, for the timelines.
        values: Where large values are; None where they stay in the messages.

    Yields:
        Encoded `Reply` frames: one, or several if the calls are slow, so that early results do not wait for late
        ones. Together they hold one outcome for each call, or the reason why there is none.
    """
    batch = Batch.decode(frame)
    started = time.time()
    try:
        batch.check_versions()
    except DistributeChallengeError as error:
        yield _problem(batch, worker, started, Problem("version", str(error)))
        return
    large = _Large.of(batch, values)
    try:
        loaded = functions.load(batch.function, large.open)
    except ValueMissingError as error:
        yield _problem(batch, worker, started, _value_missing(error))
        return
    except BaseException as error:
        error.add_note(
            f"{batch.name} could not be loaded on the worker {worker}; what it imports must be installed there."
        )
        failures = [Failure(error)] * batch.calls
        yield from _replies(
            batch, worker, started, 0, failures, array("d", [time.time()] * len(batch.arguments)), large
        )
        return
    if loaded is None:
        yield _problem(batch, worker, started, Problem("function_missing", batch.function))
        return
    with _known_as_call(batch.name):
        run = _run_chunk if batch.chunk else _run_calls
        yield from run(batch, loaded, worker, large)


def callable_bytes(task: Task) -> bytes:
    """A task's function for those who know nothing of tasks: `pickle.loads` turns the bytes into an ordinary callable.

    It works in any process that has this library, and keeps the task's time limit and retries.
    """
    return pickle.dumps(_Packed(task.function.payload, task.function.name, task.options.timeout, task.options.retries))


class _Packed(NamedTuple):
    payload: bytes
    name: str
    timeout: float | None
    retries: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, tuple(self)


def _unpack(payload: bytes, name: str, timeout: float | None, retries: int) -> Callable[..., Any]:
    modules, data = load_modules(payload)
    if not all(module.name in sys.modules for module in modules):
        ProjectImporter().activate(modules)
    return _Unpacked(load_function(data), Batch("", "", name, (), timeout=timeout, retries=retries))


class _Unpacked:
    def __init__(self, loaded: LoadedFunction, batch: Batch) -> None:
        self.__name__ = batch.name
        self._loaded = loaded
        self._batch = batch

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _known_as_call(self._batch.name):
            return unwrap(_outcome(self._batch, self._loaded, args, kwargs))


@contextmanager
def _known_as_call(name: str) -> Iterator[None]:
    name_token, inside_token = current_call.set(name), _inside_call.set(True)
    try:
        yield
    finally:
        current_call.reset(name_token)
        _inside_call.reset(inside_token)


class _Large(NamedTuple):
    """How a batch gets at large values, and where those that it makes go."""

    open: Open | None
    keep: Keep | None

    @classmethod
    def of(cls, batch: Batch, values: LargeValues | None) -> "_Large":
        if values is None:
            return cls(None, None)
        return cls(partial(values.open, places=batch.places), partial(values.keep, places=batch.places))


def _run_calls(batch: Batch, loaded: LoadedFunction, worker: str, large: _Large) -> Iterator[bytes]:
    outcomes: list[Any] = []
    finishes = array("d")
    begun = started = time.time()
    first = 0
    for index, arguments in enumerate(batch.arguments):
        try:
            args, kwargs = unpack(arguments, large.open)
        except ValueMissingError as error:
            if outcomes:
                yield from _replies(batch, worker, started, first, outcomes, finishes, large, ended=False)
            yield _problem(batch, worker, started, _value_missing(error))
            return
        except BaseException as error:
            outcomes.append(Failure(error))
        else:
            outcomes.append(_outcome(batch, loaded, args, kwargs))
        now = time.time()
        finishes.append(now)
        if now - begun > GIVE_BACK_AFTER:
            break
        if now - started > FLUSH_AFTER and index + 1 < len(batch.arguments):
            yield from _replies(batch, worker, started, first, outcomes, finishes, large, ended=False)
            outcomes, finishes, first, started = [], array("d"), index + 1, now
    yield from _replies(batch, worker, started, first, outcomes, finishes, large)


def _run_chunk(batch: Batch, loaded: LoadedFunction, worker: str, large: _Large) -> Iterator[bytes]:
    started = time.time()
    try:
        calls = unpack(batch.arguments[0], large.open)
    except ValueMissingError as error:
        yield _problem(batch, worker, started, _value_missing(error))
        return
    except BaseException as error:
        outcomes: list[Any] = [Failure(error)] * batch.chunk
    else:
        outcomes = _outcomes_of_chunk(batch, loaded, calls)
    yield from _replies(batch, worker, started, 0, outcomes, array("d", [time.time()]), large)


def _outcomes_of_chunk(batch: Batch, loaded: LoadedFunction, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Outcomes of the chunk's first calls: of all, unless they take so long that others should have the rest."""
    function = loaded.function
    plain = batch.timeout is None and not batch.retries and not loaded.is_async
    outcomes: list[Any] = []
    deadline = time.monotonic() + GIVE_BACK_AFTER
    for args in calls:
        # The plain case, a million times: nothing inside the loop but the call and a look at the clock.
        if plain:
            try:
                outcomes.append(function(*args))
            except BaseException as error:
                outcomes.append(_failure(error))
        else:
            outcomes.append(_outcome(batch, loaded, args, {}))
        if time.monotonic() > deadline:
            break
    return outcomes


def _outcome(batch: Batch, loaded: LoadedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run one call, as often as its retries allow."""
    pause = FIRST_PAUSE
    for attempt in range(batch.retries + 1):
        outcome = _attempt(batch, loaded, args, kwargs)
        if type(outcome) is not Failure or not isinstance(outcome.error, loaded.retry_on):
            break
        if attempt < batch.retries:
            # Jitter, so that calls which failed together do not all come back together.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)
    return outcome


def _attempt(batch: Batch, loaded: LoadedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        with time_limit(batch.timeout, batch.name) if batch.timeout is not None else _NO_LIMIT:
            value = loaded.function(*args, **kwargs)
            if not loaded.is_async:
                return value
            # Brings asyncio, which most calls do without.
            from distribute_challenge.coroutines import run_to_completion

            return run_to_completion(value, batch.timeout)
    except BaseException as error:
        return _failure(error)


def _failure(error: BaseException) -> Failure:
    """The call's failure, unless it is somebody else's business: an outer call's time limit, or Ctrl+C here."""
    if isinstance(error, OverdueError) or (isinstance(error, KeyboardInterrupt) and not _is_worker):
        raise error
    return Failure(error)


def _problem(batch: Batch, worker: str, started: float, problem: Problem) -> bytes:
    return Reply(batch.id, worker, started, problem=problem).encode()


def _value_missing(error: ValueMissingError) -> Problem:
    return Problem("value_missing", " ".join(error.keys))


def _replies(
    batch: Batch,
    worker: str,
    started: float,
    first: int,
    outcomes: list[Any],
    finishes: "array[float]",
    large: _Large,
    *,
    ended: bool = True,
) -> Iterator[bytes]:
    """Outcomes as one reply; as several if they are so large that one would not fit into Redis."""
    pieces = list(pieces_of(sections_of(outcomes, batch.name, large.keep), batch.name))
    done = 0
    for number, sections in enumerate(pieces, 1):
        is_last = number == len(pieces)
        # Of a chunk, which is one task, every piece is a part; else each has the calls that follow those of the piece before.
        end = 0 if batch.chunk else done + sum(section.calls for section in sections)
        yield Reply(
            batch.id,
            worker,
            finishes[done - 1] if done else started,
            first=first + done,
            sections=sections,
            finishes=finishes if is_last and not done else finishes[done : end or None],
            ended=ended and is_last,
        ).encode()
        done = end
