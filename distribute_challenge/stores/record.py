"""Which large values a client has, in which stores they lie, and how many users each has."""

import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable

from distribute_challenge.core import clock
from distribute_challenge.stores.base import Reference, Store
from distribute_challenge.stores.content import Content

__all__ = ["Hold", "Record", "Value"]

LINGER = 10.0  # Seconds that a value without users stays: the next call may need it again.
LINGER_FIRST = 1.0  # The same for a value that only one call used: most likely no other needs it.


class Hold:
    """Keeps values in the depot until it is closed or deleted.

    Args:
        keys: Keys of the values.
        release: Called with the keys at the end.
    """

    def __init__(self, keys: tuple[str, ...], release: Callable[[tuple[str, ...]], object]) -> None:
        self.keys = keys
        self._end = weakref.finalize(self, release, keys)
        self._end.atexit = False

    def close(self) -> None:
        """Release the values. It may be called again."""
        self._end()


class Value:
    """One value in the record of a `Depot`.

    Attributes:
        reference: Its key and its size.
        sample: The hash of a part of it; empty for a result.
        digest: The hash of all of it; None if it was not read so far.
        users: Number of calls and handles that need it now.
        uses: Number of users that it has had so far.
        idle_until: When it is freed if it has no users by then.
        is_result: Whether a worker has made it. No other value has its key, so it is freed as soon
            as it has no users.
        offered: Stores that were asked to keep it, full ones included.
        kept: Stores that keep it.
        source: The memory of the caller, while a thread is about to put it into a store.
        moving: Held while it is put into a store or freed from one.
    """

    __slots__ = (
        "digest", "idle_until", "is_result", "kept", "moving", "offered", "reference", "sample",
        "source", "users", "uses",
    )  # fmt: skip

    def __init__(
        self,
        reference: Reference,
        sample: str = "",
        digest: str | None = None,
        *,
        is_result: bool = False,
    ) -> None:
        self.reference = reference
        self.sample = sample
        self.digest = digest
        self.is_result = is_result
        self.users = 0
        self.uses = 0
        self.idle_until = 0.0
        self.offered: set[Store] = set()
        self.kept: set[Store] = set()
        self.source: memoryview | None = None
        self.moving = threading.Lock()


class Record:
    """The large values of one client.

    Attributes:
        values: All values, by key.
        alike: Those that may be found by their content: by sample, and then by digest. At most one
            of a sample was not read, and has None.
        idle: Those without users, the one that has had none for longest first.
        idle_bytes: Their bytes.
        idle_once_bytes: The bytes of those that had one user only.
        going: Results without users, which are still to be freed.
        released: Keys of values that have one user less each, and were not counted yet. Any thread
            may add to it at any time; all else needs the lock of the depot.
    """

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.alike: dict[str, dict[str | None, Value]] = {}
        self.idle: dict[str, Value] = {}
        self.idle_bytes = 0
        self.idle_once_bytes = 0
        self.going: list[Value] = []
        self.released: deque[tuple[str, ...]] = deque()

    def find(self, sample: str, digest: str | None) -> Value | None:
        """Find a value by its content.

        Args:
            sample: The sample of the content.
            digest: Its digest; None if it was not read.

        Returns:
            The value with this content, if it is known to have it; else one that may have it; None
            if there is neither.
        """
        alike = self.alike.get(sample, {})
        if digest in alike:
            return alike[digest]
        return alike.get(None) if digest else next(iter(alike.values()), None)

    def add(self, content: Content, digest: str | None) -> Value:
        """Record a value whose content no other has, and count one user of it."""
        reference = Reference(digest or secrets.token_hex(16), content.data.nbytes)
        value = self.values[reference.key] = Value(reference, content.sample, digest)
        self.alike.setdefault(value.sample, {})[digest] = value
        value.source = content.data
        self.count(value)
        return value

    def was_read(self, value: Value, digest: str) -> None:
        """Note the digest of a value; it has no effect if all values were freed."""
        if self.values.get(value.reference.key) is value:
            self._forget_content(value)
            value.digest = digest
            self.alike.setdefault(value.sample, {})[digest] = value

    def remove(self, value: Value) -> None:
        """Remove a value that is freed; it has no effect if all values were freed."""
        if self.values.pop(value.reference.key, None) is not None:
            self._forget_content(value)

    def _forget_content(self, value: Value) -> None:
        alike = self.alike[value.sample]
        del alike[value.digest]
        if not alike:
            del self.alike[value.sample]

    def count(self, value: Value) -> None:
        """Count one more user of a value."""
        if value.reference.key in self.idle:
            self.leave_idle(value)
        value.users += 1
        value.uses += 1

    def leave_idle(self, value: Value) -> None:
        """Note that a value has users again, or is being freed."""
        del self.idle[value.reference.key]
        self._count_idle(value, -value.reference.size)

    def settle(self) -> None:
        """Count the values that were released."""
        while self.released:
            for key in self.released.popleft():
                if (value := self.values.get(key)) is not None:
                    value.users -= 1
                    if value.users == 0:
                        self._has_no_users(value)

    def _has_no_users(self, value: Value) -> None:
        key = value.reference.key
        if value.is_result:
            self.going.append(self.values.pop(key))
            return
        value.idle_until = clock.monotonic() + (LINGER if value.uses > 1 else LINGER_FIRST)
        self.idle[key] = value
        self._count_idle(value, value.reference.size)

    def _count_idle(self, value: Value, size: int) -> None:
        self.idle_bytes += size
        if value.uses == 1:
            self.idle_once_bytes += size
