"""The maps that this process iterates, and those that have just ended, for those who show them.

    MapRun ──► running_maps ◄── the client's heartbeat

A map is here from its first result until it is closed or deleted. Adding one costs less than a
microsecond, and nothing is recorded for its calls.
"""

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

__all__ = ["MOST_ENDED", "EndedMap", "RunningMap", "add", "end", "ended_maps_of", "maps_of"]

#: Maps that are remembered, and as many graphs; a guess at how many people look at.
MOST_ENDED: Final = 50


class RunningMap(Protocol):
    """A map that is iterated.

    Attributes:
        name: Name of its function.
        queue: The queue of its calls.
        sender: What sends its calls, as in `ExecutionBackend.sender`.
        total: Number of its calls; None: unknown.
        done: Number of results that it has handed out.
        failed: How many of them are failures.
        unsent: Number of its calls that no engine has yet, as far as is known.
    """

    @property
    def name(self) -> str: ...

    @property
    def queue(self) -> str: ...

    @property
    def sender(self) -> Any: ...

    @property
    def total(self) -> int | None: ...

    @property
    def done(self) -> int: ...

    @property
    def failed(self) -> int: ...

    @property
    def unsent(self) -> int: ...


class EndedMap(NamedTuple):
    """What is known of a map that has ended, as of a `RunningMap`.

    ``sender`` gives what has sent its calls; None if that is gone.
    """

    name: str
    total: int | None
    done: int
    failed: int
    sender: Callable[[], Any]


# Single steps of a dict and a deque are atomic, so that any thread may add a map or end one, and any
# may be deleted.
_maps: Final[dict[int, "weakref.ref[RunningMap]"]] = {}
_ended: Final[deque[tuple[int, EndedMap]]] = deque(maxlen=MOST_ENDED)
_numbers: Final = count(1)


def add(running: RunningMap) -> int:
    """Show a map until it ends, or is deleted.

    Args:
        running: The map.

    Returns:
        Its number, for `end`.
    """
    number = next(_numbers)
    _maps[number] = weakref.ref(running, lambda _: _maps.pop(number, None))
    return number


def end(number: int) -> None:
    """Note that a map has ended; again, it makes no difference.

    Args:
        number: Its number.
    """
    reference = _maps.pop(number, None)
    running = None if reference is None else reference()
    if running is not None:
        sender = running.sender
        known = (lambda: None) if sender is None else weakref.ref(sender)
        ended = EndedMap(running.name, running.total, running.done, running.failed, known)
        _ended.append((number, ended))


def maps_of(sender: object) -> Iterator[tuple[int, RunningMap]]:
    """Yield the maps whose calls go through a sender, each with a number of its own.

    Args:
        sender: As in `ExecutionBackend.sender`.
    """
    for number, reference in list(_maps.items()):
        running = reference()
        if running is not None and running.sender is sender:
            yield number, running


def ended_maps_of(sender: object) -> Iterator[tuple[int, EndedMap]]:
    """Yield the latest maps that have ended, as `maps_of` does."""
    for number, ended in list(_ended):
        if ended.sender() is sender:
            yield number, ended
