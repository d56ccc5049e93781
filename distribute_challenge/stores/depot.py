"""The client's large values: puts them into stores, and frees them when they have no users.

A value's users are calls and handles; `record` counts them.

    arguments, closures ──> deposit ──> the first store: shared memory, or one that all workers see
    a call is done ───────> release ──┐
    a handle is gone ─────> Hold ─────┴─> it has no users ──> some seconds later: sweep frees it

Guarantees:

- ``_lock`` protects the record. No store is called under it, so that no thread waits there for a
  slow store.
- A value's own ``moving`` lock is held while the value is put into a store or freed from one. If
  threads deposit the same content at once, it is stored once and the second thread waits for the
  first; and a value that is being freed does not count as stored.
- `release` takes no lock: a finalizer may call it, and those run at any point of the program.
"""

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from pickle import PickleBuffer

from distribute_challenge.core import clock
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.errors import StoreFullError, SystemFailureError, ValueLostError
from distribute_challenge.log import logger
from distribute_challenge.stores.base import Buffer, Reference, Store
from distribute_challenge.stores.record import Hold, Record, Value

__all__ = ["Depot"]

# Bytes of all values without users together, and of those that had one user only; guesses. More of
# the latter would take new memory, in the place of that of freed ones (`SpareFiles`).
KEPT_IDLE = 1 << 30
KEPT_IDLE_ONCE = 1 << 27


class Depot:
    """The large values of one client, each kept once however many calls use it.

    Args:
        places: Stores of this client, in the order in which workers search them. Every worker sees
            the last one, which also takes values that do not fit elsewhere. New values go to the
            first, unless `use` names others. The depot closes the stores.

        results_released: Called when results that a worker has made have one user less each, which
            `free_results` may have to free. It must not wait.

    Attributes:
        names: Names of the stores, for the header of a batch.
    """

    def __init__(
        self, places: Sequence[Store], results_released: Callable[[], None] = lambda: None
    ) -> None:
        self.names = tuple(place.name for place in places)
        self._results_released = results_released
        self._places = tuple(places)
        self._everywhere = self._places[-1]
        self._used = self._places[:1]
        # Without the seed, it is not possible to make another content with the same key.
        self._seed = secrets.randbits(64)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._record = Record()
        self._warned = False
        self._closed = False
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        for value in self._record.values.values():
            value.moving = threading.Lock()

    def use(self, places: Iterable[Store]) -> None:
        """Put new values into these stores; if there are none, into the one that all workers see.

        Values that are kept already stay where they are.
        """
        wanted = set(places)
        self._used = tuple(place for place in self._places if place in wanted) or self._places[-1:]

    def deposit(self, buffer: Buffer) -> Reference:
        """Keep a value, unless one with the same content is kept already, and count one more user.

        Args:
            buffer: The value's bytes, of any shape. The caller may change them once this method has
                returned.

        Raises:
            StoreFullError: No store has room for it.
            SystemFailureError: A store does not answer, or the depot is closed.
        """
        import xxhash

        # No buffer of a buffer: CPython before 3.12.7 crashes when its garbage collector meets a
        # memoryview that another object wraps (gh-77894), and the frames of an error that is raised
        # here may be part of a reference cycle.
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
            self._record.settle()
            value = self._record.values.setdefault(reference.key, Value(reference))
            self._record.count(value)
            if value.kept and value.offered.issuperset(self._used):
                return reference
            crowded = (
                self._record.idle_bytes > KEPT_IDLE or self._record.idle_once_bytes > KEPT_IDLE_ONCE
            )
        try:
            if crowded:
                self._free(clock.monotonic(), KEPT_IDLE, KEPT_IDLE_ONCE)
            with value.moving:
                self._keep(value, data)
        except BaseException:
            self.release([reference.key])
            raise
        return reference

    def retain(self, keys: Iterable[str]) -> None:
        """Count one more user of each value; the values have users, or had some a moment ago.

        Raises:
            ValueLostError: One of the values was freed.
        """
        keys = tuple(keys)
        with self._lock:
            if self._closed:
                return
            self._record.settle()
            if lost := [
                key
                for key in keys
                if not ((value := self._record.values.get(key)) and (value.users or value.kept))
            ]:
                raise _lost(lost)
            for key in keys:
                self._record.count(self._record.values[key])

    def release(self, keys: Iterable[str]) -> None:
        """Count one user less of each value.

        It never raises and never waits: `sweep` and the next deposit do the counting.
        """
        self._release(tuple(keys))

    def take_over(self, references: Iterable[Reference]) -> Hold:
        """Keep parts of a result that a worker has put into one of the stores.

        A worker of this machine puts them into shared memory, and any other into the store that
        every worker sees.

        Args:
            references: The parts. Their keys are random, so each is taken over once.

        Returns:
            An object that releases the parts when it is closed or deleted.
        """
        values: dict[str, Value] = {}
        for reference in references:
            near = (place for place in self._places[:-1] if place.holds(*reference))
            place = next(near, self._everywhere)
            place.take_over(*reference)
            value = values[reference.key] = Value(reference, is_result=True)
            value.kept.add(place)
        with self._lock:
            for value in values.values():
                self._record.count(value)
            self._record.values.update(values)
        return Hold(tuple(values), self._release)

    def knows(self, key: str) -> bool:
        """Whether a value is kept here, or was kept a moment ago."""
        return key in self._record.values

    def hold(self, keys: Iterable[str]) -> Hold:
        """Count one more user of each value, for as long as the returned object lives.

        Returns:
            An object that releases the values when it is closed or deleted.

        Raises:
            ValueLostError: One of the values was freed.
        """
        keys = tuple(keys)
        self.retain(keys)
        return Hold(keys, self._release)

    def open(self, reference: Reference, *, writable: bool = False) -> memoryview:
        """Return a value of this client, which must not be written to.

        Args:
            reference: The value.
            writable: Return memory that can be written to, without an effect on the value.

        Raises:
            ValueLostError: It is in no store.
        """
        for place in self._places:
            data = place.copy(*reference) if writable else place.get(*reference)
            if data is not None:
                return data
        raise _lost([reference.key])

    def provide_everywhere(self, keys: Iterable[str]) -> None:
        """Put values into the store that every worker sees, because a worker did not find them.

        Raises:
            StoreFullError: They do not fit into that store.
            ValueLostError: Some are in no store; its `keys` say which. The others were put there.
        """
        lost = []
        for key in keys:
            with self._lock:
                if (value := self._record.values.get(key)) is None:
                    lost.append(key)
                    continue
                self._record.count(value)  # So that it is not freed in the meantime.
            try:
                with value.moving:
                    if not self._provide(value):
                        lost.append(key)
            finally:
                self.release([key])
        if lost:
            raise _lost(lost)

    def renew(self) -> None:
        """Tell the stores that this client lives. Called about once a second; it never raises."""
        if self._ended():
            return
        kept: dict[Store, list[str]] = {place: [] for place in self._places}
        with self._lock:
            for key, value in self._record.values.items():
                for place in value.kept:
                    kept[place].append(key)
        for place, keys in kept.items():
            place.renew(keys)

    def sweep(self, now: float) -> None:
        """Free values without users. Called about once a second; it never raises.

        Args:
            now: The time by `clock.monotonic`.
        """
        self.free_results()
        if not self._ended():
            self._free(now, KEPT_IDLE, KEPT_IDLE_ONCE)

    def free_results(self) -> bool:
        """Free the results without users, and return whether there were any; it never raises."""
        if self._ended():
            return False
        with self._lock:
            self._record.settle()
            going, self._record.going = self._record.going, []
        for place in self._places:
            if keys := [value.reference.key for value in going if place in value.kept]:
                place.delete(keys)
        return bool(going)

    def close(self) -> None:
        """Free all values. It may be called again; in a fork of the client it does nothing."""
        if self._ended():
            return
        with self._lock:
            self._closed = True
            self._record = Record()
        for place in self._places:
            place.close()

    def _release(self, keys: tuple[str, ...]) -> None:
        self._record.released.append(keys)
        if any((value := self._record.values.get(key)) and value.is_result for key in keys):
            self._results_released()

    # --- under a value's `moving` lock

    def _keep(self, value: Value, data: memoryview) -> None:
        """Put a value into the stores in use; if these are full, into the last one."""
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

    def _put(self, place: Store, value: Value, data: memoryview) -> StoreFullError | None:
        key = value.reference.key
        try:
            try:
                place.put(key, data)
            except StoreFullError:
                if not self.free_results() | self._free(clock.monotonic(), 0, 0):
                    raise
                place.put(key, data)  # Values without users were freed to make room.
        except StoreFullError as error:
            value.offered.add(place)
            return error
        with self._lock:
            value.offered.add(place)
            value.kept.add(place)
        return None

    def _provide(self, value: Value) -> bool:
        # The record alone is not enough: Redis may have lost the value without notice.
        if self._everywhere.holds(*value.reference):
            return True
        for place in self._places[:-1]:
            if (data := place.get(*value.reference)) is not None:
                if full := self._put(self._everywhere, value, data):
                    raise full
                return True
        with self._lock:
            # The next deposit stores it anew.
            value.kept.clear()
            value.offered.clear()
        return False

    def _free(self, now: float, limit: int, once_limit: int) -> bool:
        """Free values without users.

        Args:
            now: The time by `clock.monotonic`; values that were to stay until then are freed.
            limit: Bytes of values without users that may stay; the oldest beyond that are freed.
            once_limit: The same for those that had one user only.

        Returns:
            Whether anything was freed.
        """
        going: list[Value] = []
        kept: dict[Store, list[str]] = {}
        with contextlib.ExitStack() as stack:
            with self._lock:
                self._record.settle()
                for value in list(self._record.idle.values()):
                    if (
                        value.idle_until > now
                        and self._record.idle_bytes <= limit
                        and (value.uses > 1 or self._record.idle_once_bytes <= once_limit)
                    ):
                        continue
                    if not value.moving.acquire(blocking=False):
                        # A thread that deposits it again has just failed, or it is being freed.
                        continue
                    stack.callback(value.moving.release)
                    self._record.leave_idle(value)
                    for place in value.kept:
                        kept.setdefault(place, []).append(value.reference.key)
                    # From here on, a thread that deposits it again waits until it is freed, and
                    # stores it anew.
                    value.kept.clear()
                    value.offered.clear()
                    going.append(value)
            for place, keys in kept.items():
                place.delete(keys)
            with self._lock:
                for value in going:
                    if not value.users:
                        self._record.values.pop(value.reference.key, None)
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
