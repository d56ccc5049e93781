"""Reads large values from the client's stores, for a worker process, and caches them.

Guarantees:

- The cached values take at most the limit.
- A value that no call used for `UNUSED_FOR` seconds is dropped, and so is shared memory that its
  client has freed. A thread checks this every `LOOK_EVERY` seconds while there are cached values,
  so that an idle worker keeps nothing of a client that is gone. Freed memory is also dropped when
  another value comes, which may need it: the larger the value, the more of the others are looked
  at, in turn, so that thousands of small ones do not take longer than a few large ones.
- ``_lock`` protects all fields. No value is read from a store under it.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.errors import ValueMissingError
from distribute_challenge.security import Keyring
from distribute_challenge.stores.base import Reference, Store
from distribute_challenge.stores.opening import open_store

if TYPE_CHECKING:
    import redis

__all__ = ["ValueCache"]

UNUSED_FOR = 60.0  # Seconds.
LOOK_EVERY = 2.0  # Seconds.
# A look whether a value was freed takes some microseconds; to read so many bytes takes longer.
BYTES_A_LOOK = 16_000
FEWEST_LOOKS = 4


class _Kept(NamedTuple):
    data: memoryview
    store: Store
    used: float


class ValueCache:
    """The large values of all clients, for the calls of one worker process.

    Args:
        connection: A connection to the broker, for values in Redis; None if there is no broker.
        keyring: Verifies the signatures of values.
        limit_bytes: Most bytes that are cached for later calls. Values that a running call uses are
            not limited by it.
    """

    def __init__(
        self, connection: "redis.Redis | None", keyring: Keyring, limit_bytes: int
    ) -> None:
        self._connection = connection
        self._keyring = keyring
        self._limit = limit_bytes
        self._lock = threading.Lock()
        # The least recently used one is first.
        self._kept: OrderedDict[Reference, _Kept] = OrderedDict()
        self._bytes = 0
        # Those in shared memory; the one that was not looked at for longest is first.
        self._mapped: OrderedDict[Reference, Store] = OrderedDict()
        self._stores: dict[str, Store] = {}
        self._closing = threading.Event()
        self._looking = False

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        """Return a value, which must not be written to: other calls read the same memory.

        Args:
            reference: What the message carries in place of the value.
            places: `Depot.names` of the client, from the header of the batch.

        Raises:
            ValueMissingError: The value is in none of these stores.
            SystemFailureError: A store does not answer.
            BackendError: A store needs a package that is not installed here.
        """
        with self._lock:
            if kept := self._kept.pop(reference, None):
                self._kept[reference] = kept._replace(used=clock.monotonic())
                return kept.data
        for name in places:
            store = self._stores.get(name) or open_store(name, self._keyring, self._connection)
            if store is not None and (data := store.get(*reference)) is not None:
                self._keep(reference, data, store)
                return data
        raise ValueMissingError([reference.key])

    def close(self) -> None:
        """Drop all values."""
        self._closing.set()
        with self._lock:
            self._drop(list(self._kept))

    def _keep(self, reference: Reference, data: memoryview, store: Store) -> None:
        if reference.size > self._limit:
            return
        with self._lock:
            self._drop_freed(FEWEST_LOOKS + reference.size // BYTES_A_LOOK)
            self._stores[store.name] = store
            if reference not in self._kept:  # Another thread may have read it, too.
                self._bytes += reference.size
            self._kept[reference] = _Kept(data, store, clock.monotonic())
            if store.maps:
                self._mapped[reference] = store
            while self._bytes > self._limit:
                self._drop([next(iter(self._kept))])
            if not self._looking:
                self._looking = True
                threading.Thread(
                    target=self._look_forever, name="distribute_challenge value cache", daemon=True
                ).start()

    def _look_forever(self) -> None:
        while True:
            self._closing.wait(LOOK_EVERY)
            with self._lock:
                now = clock.monotonic()
                self._drop(
                    [
                        reference
                        for reference, kept in self._kept.items()
                        if now - kept.used > UNUSED_FOR
                    ]
                )
                self._drop_freed(len(self._mapped))
                if not self._kept:
                    self._looking = False
                    return

    def _drop_freed(self, looks: int) -> None:
        """Drop values in shared memory that their clients have freed; look at so many."""
        for _ in range(min(looks, len(self._mapped))):
            reference, store = self._mapped.popitem(last=False)
            if store.holds(*reference):
                self._mapped[reference] = store
            else:
                self._drop([reference])

    def _drop(self, references: Iterable[Reference]) -> None:
        for reference in references:
            del self._kept[reference]
            self._mapped.pop(reference, None)
            self._bytes -= reference.size
        if not self._kept:
            self._stores.clear()
