"""Keeps large values in Redis, where every worker sees them.

    client: put ──> SET distribute_challenge:value:<client>:<key> ──> GETRANGE, GETRANGE …: worker

A large one lies in parts, so that no command keeps the server from its other clients for long: with
an append-only file, the server writes what one command brings before it reads the next.

redis-py's own `set` and `get` copy a value several times, and into memory that is new each time. So
the commands for the values themselves are written and read in pieces, on a connection of redis-py's
pool: four times as fast for 32 MB.

Guarantees:

- Each command has a connection of its own, so that none waits for the large value of another.
- A value that its client does not renew is gone `VALUE_EXPIRY` seconds later, however the client
  ended.
"""

import contextlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from distribute_challenge.core import clock
from distribute_challenge.core.sizes import as_size
from distribute_challenge.errors import BrokerUnreachableError, ForgedError, StoreFullError
from distribute_challenge.security import ENCRYPTION_OVERHEAD, TRAILER_LENGTH, Keyring, Purpose
from distribute_challenge.security.keyring import Signature
from distribute_challenge.stores.base import Store

if TYPE_CHECKING:
    import redis

__all__ = ["VALUE_EXPIRY", "RedisStore", "value_key"]

VALUE_EXPIRY = 60  # Seconds, renewed at a third of that.
# Bytes under one key. With an append-only file, other clients waited 0.1 s at most while 300 MB
# came in such parts, and 4 s in parts of 256 MB. Over the slowest line that is served
# (`broker.paced`), a part takes 42 s, so the one before it is still there.
PART = 4 << 20
PIECE = 1 << 20  # Bytes sent or received at once: this much stays in the processor's cache.
AHEAD = 4  # Pieces that are asked for before the first one is there.


def value_key(client: str, key: str) -> str:
    """Return the Redis key of a client's large value.

    If the value is larger than `PART`, it has several parts, and ``:`` and a number follow the key.

    Args:
        client: The client's id.
        key: Name of the value.
    """
    return f"distribute_challenge:value:{client}:{key}"


class RedisStore(Store):
    """A store that keeps the values of one client in a Redis database.

    A worker uses the same class, and only calls `get` and `put`. It renews and frees nothing.

    Args:
        connection: A connection to the database. Its owner closes it.
        client: The client's id.
        keyring: Signs the values that are put here, and verifies those that are read.
    """

    def __init__(self, connection: "redis.Redis", client: str, keyring: Keyring) -> None:
        self.name = f"redis:{client}"
        self._connection = connection
        self._client = client
        self._keyring = keyring
        self._sizes: dict[str, int] = {}
        self._renewed = clock.monotonic()

    def put(self, key: str, data: memoryview) -> None:
        # Recorded before the first part is sent: whatever happens in between, `close` knows the
        # parts and frees them.
        self._sizes[key] = data.nbytes
        names, purpose = self.keys_of(key, data.nbytes), Purpose.value(self.name, key)
        if self._keyring.encrypts:
            data = memoryview(self._keyring.seal(purpose, [data]))
        signature = self._keyring.signature(purpose)
        try:
            with _answered(f"take a value of {as_size(data.nbytes)}"), self._line() as line:
                renewed = clock.monotonic()
                for number, name in enumerate(names):
                    is_last = number == len(names) - 1
                    part = data[number * PART : None if is_last else (number + 1) * PART]
                    line.send_packed_command(_set(name, part, signature, is_last=is_last))
                    line.read_response()
                    if clock.monotonic() - renewed > VALUE_EXPIRY / 3:
                        # No other process renews a value that is incomplete.
                        renewed = clock.monotonic()
                        self._extend(names[:number])
        except BaseException:
            self.delete([key])
            raise

    def get(self, key: str, size: int) -> memoryview | None:
        purpose = Purpose.value(self.name, key)
        try:
            with _answered(f"give a value of {as_size(size)}"), self._line() as line:
                names = self.keys_of(key, size)
                line.send_command("GETRANGE", names[-1], -TRAILER_LENGTH, -1)
                if not (trailer := line.read_response()):
                    return None
                signature = self._keyring.check(purpose, trailer)
                data = memoryview(
                    bytearray(size + (ENCRYPTION_OVERHEAD if signature.is_encrypted else 0))
                )
                if not self._read(line, names, data, signature):
                    line.disconnect()  # More answers are still coming.
                    return None
            signature.verify()
            return (
                memoryview(self._keyring.open(purpose, data))
                if signature.is_encrypted
                else data.toreadonly()
            )
        except ForgedError as error:
            self._keyring.refusals.note("a large value in Redis", str(error), key)
            return None

    def take_over(self, key: str, size: int) -> None:
        self._sizes[key] = size

    def holds(self, key: str, size: int) -> bool:
        names = self.keys_of(key, size)
        with _answered("say what it has"):
            return self._connection.exists(*names) == len(names)

    def delete(self, keys: Collection[str]) -> None:
        import redis

        names = [name for key in keys for name in self.keys_of(key, self._sizes.pop(key, -1))]
        if names:
            with contextlib.suppress(redis.RedisError, OSError):
                self._connection.unlink(*names)

    def renew(self, keys: Collection[str]) -> None:
        import redis

        now = clock.monotonic()
        if now - self._renewed < VALUE_EXPIRY / 3:
            return
        with contextlib.suppress(redis.RedisError, OSError):
            self._extend(
                name for key in keys for name in self.keys_of(key, self._sizes.get(key, -1))
            )
            self._renewed = now

    def close(self) -> None:
        self.delete(list(self._sizes))

    def keys_of(self, key: str, size: int) -> list[str]:
        """Return a value's Redis keys, one for each part; none if its size is unknown (negative)."""
        name = value_key(self._client, key)
        if size <= PART:
            return [name] if size >= 0 else []
        return [f"{name}:{number}" for number in range(-(-size // PART))]

    def _extend(self, names: Iterable[str]) -> None:
        with self._connection.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.expire(name, VALUE_EXPIRY)
            pipeline.execute()

    @staticmethod
    def _read(line: Any, names: list[str], data: memoryview, signature: Signature) -> bool:
        """Fill a buffer with a value; False if the value is incomplete in Redis."""
        asked: deque[memoryview] = deque()
        for number, name in enumerate(names):
            part = data[number * PART : None if number == len(names) - 1 else (number + 1) * PART]
            for first in range(0, len(part), PIECE):
                piece = part[first : first + PIECE]
                line.send_command("GETRANGE", name, first, first + len(piece) - 1)
                asked.append(piece)
                if len(asked) == AHEAD and not _receive(line, asked.popleft(), signature):
                    return False
        return all(_receive(line, piece, signature) for piece in asked)

    @contextlib.contextmanager
    def _line(self) -> Iterator[Any]:
        """Take a connection from the pool, for commands that redis-py does not write itself."""
        pool = self._connection.connection_pool
        line: Any = pool.get_connection()
        try:
            yield line
        except BaseException:
            line.disconnect()  # Answers to this command may still come.
            raise
        finally:
            pool.release(line)


def _set(
    name: str, data: memoryview, signature: Signature, *, is_last: bool
) -> Iterator[bytes | memoryview]:
    """Encode ``SET name data EX VALUE_EXPIRY`` for Redis; the last part ends with the signature."""
    expiry = str(VALUE_EXPIRY).encode()
    size = data.nbytes + (TRAILER_LENGTH if is_last else 0)
    yield b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(name), name.encode(), size)
    for first in range(0, data.nbytes, PIECE):
        piece = data[first : first + PIECE]
        yield piece
        # Now, while the piece is in the processor's cache, and Redis is busy with it.
        signature.update(piece)
    if is_last:
        yield signature.trailer()
    yield b"\r\n$2\r\nEX\r\n$%d\r\n%b\r\n" % (len(expiry), expiry)


def _receive(line: Any, piece: memoryview, signature: Signature) -> bool:
    answer = line.read_response()
    if len(answer) != len(piece):
        return False
    signature.update(answer)
    piece[:] = answer
    return True


@contextlib.contextmanager
def _answered(what: str) -> Iterator[None]:
    import redis

    try:
        yield
    except redis.OutOfMemoryError as error:
        raise StoreFullError(
            f"Redis has no room to {what} ({error}): give it more (maxmemory), or let large values "
            f"go into a folder that "
            f"all machines share, or into object storage: "
            f"DISTRIBUTE_CHALLENGE_STORE=file:///mnt/shared"
        ) from error
    except (redis.RedisError, OSError) as error:
        if str(error).startswith("WRONGTYPE"):
            raise ForgedError("there is something else in its place") from None
        raise BrokerUnreachableError(
            f"Redis did not {what} ({str(error) or type(error).__name__}): check that the server "
            f"runs"
        ) from error
