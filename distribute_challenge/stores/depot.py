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

from distribute_challenge.core import clock
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.errors import StoreFullError, SystemFailureError, ValueLostError
from distribute_challenge.log import logger
from distribute_challenge.stores.base import Buffer, Reference, Store
from distribute_challenge.stores.content import Content, hashed
from distribute_challenge.stores.places import Places, keys_by_store
from distribute_challenge.stores.record import Hold, Record, Value

__all__ = ["Depot"]

# Bytes of all values without users together, and of those that had one user only; guesses. More of
# the latter would take new memory, in the place of that of freed ones (`SpareFiles`).
KEPT_IDLE = 1 << 30
KEPT_IDLE_ONCE = 1 << 27


class Depot:
    """The large values of one client, each kept once however many calls use it.

    Args:
        stores: Stores of this client, as for `Places`. The depot closes them.
        results_released: Called when results that a worker has made have one user less each, which
            `free_results` may have to free. It must not wait.

    Attributes:
        names: Names of the stores, for the header of a batch.
        use: Chooses the stores of new values: `Places.use`.
    """

    def __init__(
        self, stores: Sequence[Store], results_released: Callable[[], None] = lambda: None
    ) -> None:
        self._places = Places(stores)
        self.names = self._places.names
        self.use = self._places.use
        self._results_released = results_released
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

    def deposit(self, buffer: Buffer) -> Reference:
        """Keep a value, unless one with the same content is kept already, and count one more user.

        Args:
            buffer: The value's bytes, of any shape. The caller may change them once this method has
                returned.

        Raises:
            StoreFullError: No store has room for it.
            SystemFailureError: A store does not answer, or the depot is closed.
        """
        content = Content(buffer, self._seed)
        value = self._counted(content)
        reference = value.reference
        with self._lock:
            if value.kept and value.offered.issuperset(self._places.used):
                return reference
            crowded = (
                self._record.idle_bytes > KEPT_IDLE or self._record.idle_once_bytes > KEPT_IDLE_ONCE
            )
        try:
            if crowded:
                self._free(clock.monotonic(), KEPT_IDLE, KEPT_IDLE_ONCE)
            with value.moving:
                self._keep(value, content.data)
        except BaseException:
            self.release([reference.key])
            raise
        finally:
            value.source = None
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
            store = self._places.holder(reference)
            store.take_over(*reference)
            value = values[reference.key] = Value(reference, is_result=True)
            value.kept.add(store)
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
        if (data := self._places.find(reference, writable=writable)) is None:
            raise _lost([reference.key])
        return data

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
        with self._lock:
            kept = keys_by_store(self._record.values.values())
        self._places.renew(kept)

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
            kept = keys_by_store(going)
        for store, keys in kept.items():
            store.delete(keys)
        return bool(going)

    def close(self) -> None:
        """Free all values. It may be called again; in a fork of the client it does nothing."""
        if self._ended():
            return
        with self._lock:
            self._closed = True
            self._record = Record()
        self._places.close()

    def _counted(self, content: Content) -> Value:
        """Find the value with this content, or record a new one, and count one more user of it."""
        # If a store does not map its values, it takes longer to read one again, for the next that
        # may be equal, than to hash all of this one.
        is_read = not (content.is_sampled and self._places.are_mapped)
        digest = content.digest if is_read else None
        while True:
            with self._lock:
                if self._closed:
                    raise SystemFailureError("a large value was sent to a backend that is closed")
                self._record.settle()
                if (value := self._record.find(content.sample, digest)) is None:
                    return self._record.add(content, digest)
                self._record.count(value)
                if digest is not None and value.digest == digest:
                    return value
            # The samples are equal.
            try:
                digest = content.digest
                self._read(value)
            finally:
                self.release([value.reference.key])

    def _read(self, value: Value) -> None:
        """Find out the digest of a value that was not read so far."""
        with value.moving:
            if value.digest is None:
                data = self._places.find(value.reference) if value.kept else value.source
                # No other value equals one that is lost.
                digest = secrets.token_hex(16) if data is None else hashed(data, self._seed)
                with self._lock:
                    self._record.was_read(value, digest)

    def _release(self, keys: tuple[str, ...]) -> None:
        self._record.released.append(keys)
        if any((value := self._record.values.get(key)) and value.is_result for key in keys):
            self._results_released()

    # --- under a value's `moving` lock

    def _keep(self, value: Value, data: memoryview) -> None:
        """Put a value into the stores in use; if these are full, into the last one."""
        full = None
        for place in self._places.used:
            if place not in value.offered:
                full = self._put(place, value, data) or full
        if not value.kept and full is not None:
            if not self._warned:
                self._warned = True
                logger.warning("large values go another way, which takes longer: %s", full)
            if self._places.everywhere not in value.offered:
                full = self._put(self._places.everywhere, value, data)
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
        if self._places.everywhere.holds(*value.reference):
            return True
        for place in self._places.near:
            if (data := place.get(*value.reference)) is not None:
                if full := self._put(self._places.everywhere, value, data):
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
                    going.append(value)
                kept = keys_by_store(going)
                for value in going:
                    # From here on, a thread that deposits it again waits until it is freed, and
                    # stores it anew.
                    value.kept.clear()
                    value.offered.clear()
            for store, keys in kept.items():
                store.delete(keys)
            with self._lock:
                for value in going:
                    if not value.users:
                        self._record.remove(value)
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
