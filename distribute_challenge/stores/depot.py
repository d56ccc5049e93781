"""The client's books of its large values: where each is kept, and how many calls and handles use
it.

    arguments, closures ──> deposit ──> the first place: shared memory, or what everybody sees
    a call is done ───────> release ──┐
    a handle is gone ─────> Hold ─────┴─> nobody uses it ──> some seconds later: sweep frees it

Guarantees:

- ``_lock`` protects the books. No store is asked for anything under it, so that nobody waits there
  for a slow one.
- A value's own ``moving`` lock is held while it is brought to a place or freed from one: threads
  that deposit the same content at once store it once, the second waits for the first, and what is
  being freed is not taken for stored.
- `release` takes no lock at all: it may be called by a finalizer, which runs wherever the
  interpreter happens to be.
"""

import contextlib
import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from pickle import PickleBuffer

from distribute_challenge.core import clock
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.errors import StoreFullError, SystemFailureError, ValueLostError
from distribute_challenge.log import logger
from distribute_challenge.stores.base import Buffer, Reference, Store

__all__ = ["Depot", "Hold"]

LINGER = 10.0  # Seconds that a value without users stays: the next call may well need it again,
LINGER_FIRST = 1.0  # but one that a single call has needed so far most likely not.
KEPT_IDLE = 1 << 30  # Bytes of all such values together; a guess.


class Hold:
    """Keeps values in the depot until it is closed, or gone.

    Args:
        keys: The values.
        released: Where they are handed in at the end.
    """

    def __init__(self, keys: tuple[str, ...], released: "deque[tuple[str, ...]]") -> None:
        self.keys = keys
        self._end = weakref.finalize(self, released.append, keys)
        self._end.atexit = False

    def close(self) -> None:
        """Give the values back. Safe to call again."""
        self._end()


class _Value:
    """One entry of the books.

    Attributes:
        users: Calls and handles that need it.
        uses: How many there have been.
        idle_until: When it is freed, if it has none by then.
        offered: Places that were asked to keep it, be they full.
        kept: Those that do.
    """

    __slots__ = ("idle_until", "kept", "moving", "offered", "reference", "users", "uses")

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.users = 0
        self.uses = 0
        self.idle_until = 0.0
        self.offered: set[Store] = set()
        self.kept: set[Store] = set()
        self.moving = threading.Lock()


class Depot:
    """The large values of one client, each kept once however many calls it goes into.

    Args:
        places: Stores of this client, in the order in which workers look into them. The last is the
            one that every worker sees; it also takes what does not fit elsewhere. New values go to
            the first, until `use` says otherwise. The depot closes them.

    Attributes:
        names: The places as texts, for the header of a batch.
    """

    def __init__(self, places: Sequence[Store]) -> None:
        self.names = tuple(place.name for place in places)
        self._places = tuple(places)
        self._everywhere = self._places[-1]
        self._used = self._places[:1]
        # Nobody who does not know it can make another content with the same key.
        self._seed = secrets.randbits(64)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._values: dict[str, _Value] = {}
        # Those without users, the one that became so first in front, and their bytes.
        self._idle: dict[str, _Value] = {}
        self._idle_bytes = 0
        self._released: deque[tuple[str, ...]] = deque()
        self._warned = False
        self._closed = False
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        for value in self._values.values():
            value.moving = threading.Lock()

    def use(self, places: Iterable[Store]) -> None:
        """From now on, put values into these of the places; if none, where all see them. What is
        kept already stays.
        """
        wanted = set(places)
        self._used = tuple(place for place in self._places if place in wanted) or self._places[-1:]

    def deposit(self, buffer: Buffer) -> Reference:
        """Keep a value, unless one with the same content is there already, and count one user more.

        Args:
            buffer: The value's bytes, of any shape. They may change once this has returned.

        Raises:
            StoreFullError: It fits nowhere.
            SystemFailureError: The place does not answer, or the depot is closed.
        """
        import xxhash

        # No buffer of a buffer: CPython before 3.12.7 crashes when its garbage collector meets a
        # memoryview that somebody wraps (gh-77894), and the frames of an error that is raised here
        # may well be garbage in a circle.
        if (
            isinstance(buffer, memoryview)
            and buffer.ndim == 1
            and buffer.format == "B"
            and buffer.c_contiguous
        ):
            data = buffer
        else:
            data = PickleBuffer(buffer).raw()
        reference = Reference(xxhash.xxh3_128(data, seed=self._seed).hexdigest(), data.nbytes)
        with self._lock:
            if self._closed:
                raise SystemFailureError("a large value was sent to a backend that is closed")
            self._settle()
            value = self._values.setdefault(reference.key, _Value(reference))
            self._count(value)
            if value.kept and value.offered.issuperset(self._used):
                return reference
            crowded = self._idle_bytes > KEPT_IDLE
        try:
            if crowded:
                self._free(clock.monotonic(), KEPT_IDLE)
            with value.moving:
                self._keep(value, data)
        except BaseException:
            self.release([reference.key])
            raise
        return reference

    def retain(self, keys: Iterable[str]) -> None:
        """Count one user more of each of some values, which have users already or had some just
        now.

        Raises:
            ValueLostError: One was freed.
        """
        keys = tuple(keys)
        with self._lock:
            if self._closed:
                return
            self._settle()
            if lost := [
                key
                for key in keys
                if not ((value := self._values.get(key)) and (value.users or value.kept))
            ]:
                raise _lost(lost)
            for key in keys:
                self._count(self._values[key])

    def release(self, keys: Iterable[str]) -> None:
        """Count one user less of each.

        It never raises and never waits; `sweep` and the next deposit take note of it.
        """
        self._released.append(tuple(keys))

    def hold(self, keys: Iterable[str]) -> Hold:
        """Count one user more, for as long as an object lives.

        Returns:
            That object; closing it ends it, too.

        Raises:
            ValueLostError: One was freed.
        """
        keys = tuple(keys)
        self.retain(keys)
        return Hold(keys, self._released)

    def open(self, reference: Reference) -> memoryview:
        """Read a value of one's own; it is not to be written to.

        Raises:
            ValueLostError: It is nowhere.
        """
        for place in self._places:
            if (data := place.get(*reference)) is not None:
                return data
        raise _lost([reference.key])

    def provide_everywhere(self, keys: Iterable[str]) -> None:
        """Bring values to the place that every worker sees: one has looked for them in vain.

        Raises:
            StoreFullError: They do not fit there.
            ValueLostError: Some are nowhere; its `keys` say which. The others were brought.
        """
        lost = []
        for key in keys:
            with self._lock:
                if (value := self._values.get(key)) is None:
                    lost.append(key)
                    continue
                self._count(value)  # So that it is not freed meanwhile.
            try:
                with value.moving:
                    if not self._provide(value):
                        lost.append(key)
            finally:
                self.release([key])
        if lost:
            raise _lost(lost)

    def renew(self) -> None:
        """Tell the stores that this client lives, about once a second. It never raises."""
        if self._ended():
            return
        kept: dict[Store, list[str]] = {place: [] for place in self._places}
        with self._lock:
            for key, value in self._values.items():
                for place in value.kept:
                    kept[place].append(key)
        for place, keys in kept.items():
            place.renew(keys)

    def sweep(self, now: float) -> None:
        """Free what nobody used for a while, about once a second. It never raises.

        Args:
            now: As `clock.monotonic` gives it.
        """
        if not self._ended():
            self._free(now, KEPT_IDLE)

    def close(self) -> None:
        """Free everything. Safe to call again; in a fork of the client it does nothing."""
        if self._ended():
            return
        with self._lock:
            self._closed = True
            self._values.clear()
            self._idle.clear()
        for place in self._places:
            place.close()

    # --- the books; all under the lock

    def _count(self, value: _Value) -> None:
        value.users += 1
        value.uses += 1
        if self._idle.pop(value.reference.key, None) is not None:
            self._idle_bytes -= value.reference.size

    def _settle(self) -> None:
        """Take note of what was released."""
        while self._released:
            for key in self._released.popleft():
                if (value := self._values.get(key)) is not None:
                    value.users -= 1
                    if value.users == 0:
                        value.idle_until = clock.monotonic() + (
                            LINGER if value.uses > 1 else LINGER_FIRST
                        )
                        self._idle[key] = value
                        self._idle_bytes += value.reference.size

    # --- with a value's own lock

    def _keep(self, value: _Value, data: memoryview) -> None:
        """Put it into the places in use, or where there is room."""
        full = None
        for place in self._used:
            if place not in value.offered:
                full = self._put(place, value, data) or full
        if not value.kept and full is not None:
            if not self._warned:
                self._warned = True
                logger.warning("large values go another way, which takes longer: %s", full)
            if self._everywhere not in value.offered:
                full = self._put(self._everywhere, value, data)
            if full is not None:
                value.offered.clear()
                raise full

    def _put(self, place: Store, value: _Value, data: memoryview) -> StoreFullError | None:
        key = value.reference.key
        try:
            try:
                place.put(key, data)
            except StoreFullError:
                if not self._free(clock.monotonic(), 0):
                    raise
                place.put(key, data)  # What only lingered makes room for it.
        except StoreFullError as error:
            value.offered.add(place)
            return error
        with self._lock:
            value.offered.add(place)
            value.kept.add(place)
        return None

    def _provide(self, value: _Value) -> bool:
        # It may have been there once: Redis may have lost it, which nobody tells.
        if self._everywhere.holds(*value.reference):
            return True
        for place in self._places[:-1]:
            if (data := place.get(*value.reference)) is not None:
                if full := self._put(self._everywhere, value, data):
                    raise full
                return True
        with self._lock:
            # The next deposit brings it anew.
            value.kept.clear()
            value.offered.clear()
        return False

    def _free(self, now: float, limit: int) -> bool:
        """Free values without users.

        Args:
            now: All go that are to stay no longer than this.
            limit: Bytes of such values that may stay; of those that are more, the oldest go.

        Returns:
            Whether anything was freed.
        """
        going: list[_Value] = []
        kept: dict[Store, list[str]] = {}
        with contextlib.ExitStack() as stack:
            with self._lock:
                self._settle()
                for value in list(self._idle.values()):
                    if value.idle_until > now and self._idle_bytes <= limit:
                        continue
                    if not value.moving.acquire(blocking=False):
                        # Somebody who deposits it again has just failed, or it is being freed.
                        continue
                    stack.callback(value.moving.release)
                    del self._idle[value.reference.key]
                    self._idle_bytes -= value.reference.size
                    for place in value.kept:
                        kept.setdefault(place, []).append(value.reference.key)
                    # From here on, whoever deposits it again waits until it is gone, and brings it
                    # anew.
                    value.kept.clear()
                    value.offered.clear()
                    going.append(value)
            for place, keys in kept.items():
                place.delete(keys)
            with self._lock:
                for value in going:
                    if not value.users:
                        self._values.pop(value.reference.key, None)
        return bool(kept)

    def _ended(self) -> bool:
        return self._closed or self._pid != os.getpid()


def _lost(keys: Sequence[str]) -> ValueLostError:
    return ValueLostError(
        f"{len(keys)} large value(s) of this call are gone from where they were kept: Redis was "
        f"started anew, ran out of memory, or "
        f"this process stood still for longer than it keeps them; make the call again",
        keys,
    )
