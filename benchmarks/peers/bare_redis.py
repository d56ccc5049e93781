"""The floor: pushes to Redis lists and pops from them in both directions, and nothing else.

``python -m benchmarks.peers.bare_redis ADDRESS`` is its worker. This is no usable system: it has no
errors, no names of functions, and no way to tell which call a result belongs to. The time that a
system on Redis takes beyond the floor is the cost of what it adds.
"""

import pickle
import sys
from typing import Any

from redis import Redis

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import PATIENCE, PATIENT_REDIS_URL, REDIS_SOCKET

__all__ = ["BareRedis", "BareRedisSocket"]

NUMBERS, ARRAYS, ITEMS = "numbers", "arrays", "items"  # Lists that carry calls.
REPLIES = "replies"
SHARED = "shared"  # Key of the array that many calls use.
CHUNK = 2_000  # Calls in one message of `map`.


class BareRedis(Peer):
    """Bare Redis as a peer: pushes and pops pickled numbers, and the bytes of arrays."""

    title = "bare Redis, TCP"
    packages = ("redis", "hiredis")
    import_line = "from redis import Redis"
    crosses_machines = True
    survives_worker_death = "no"
    guarantee = "None: what a worker has popped dies with it."
    configuration = (
        f"LPUSH and BLPOP, one command for each call; `map` in messages of {CHUNK:,}; arrays as "
        f"their bytes; the shared array is "
        "set once and kept by the workers."
    )
    documentation = "Redis lists"
    address = PATIENT_REDIS_URL

    def start(self, workers: int) -> None:
        self.services.start_redis()
        for number in range(workers):
            self.services.start_python(
                f"worker{number}", "-m", "benchmarks.peers.bare_redis", self.address
            )
        self.redis = Redis.from_url(self.address)
        self.version = 0

    def round_trip(self, value):
        self.redis.rpush(NUMBERS, pickle.dumps([value]))
        return self._reply()[0]

    def submit_and_gather(self, calls):
        for number in range(calls):
            self.redis.rpush(NUMBERS, pickle.dumps([number]))
        return sum(self._reply()[0] for _ in range(calls))

    def map(self, calls):
        starts = range(0, calls, CHUNK)
        for start in starts:
            self.redis.rpush(NUMBERS, pickle.dumps(list(range(start, min(start + CHUNK, calls)))))
        return sum(sum(self._reply()) for _ in starts)

    def payload(self, array):
        import numpy

        self.redis.rpush(ARRAYS, memoryview(array).cast("B"))
        _, body = self.redis.blpop([REPLIES])
        return numpy.frombuffer(body)

    def shared_payload(self, array, calls):
        self.version += 1
        self.redis.set(SHARED, memoryview(array).cast("B"))
        for index in range(calls):
            self.redis.rpush(ITEMS, pickle.dumps((self.version, index)))
        return sum(self._reply() for _ in range(calls))

    def _reply(self) -> Any:
        _, body = self.redis.blpop([REPLIES])
        return pickle.loads(body)


class BareRedisSocket(BareRedis):
    """Bare Redis over a Unix socket, as the library's embedded cluster uses one."""

    title = "bare Redis, Unix socket"
    address = f"unix://{REDIS_SOCKET}?{PATIENCE}"


def work(address: str) -> None:
    """Take calls and push their results, until killed."""
    redis = Redis.from_url(address)
    shared: tuple[int, Any] = (0, None)
    while True:
        kind, body = redis.blpop([NUMBERS, ITEMS, ARRAYS])
        if kind == NUMBERS.encode():
            redis.rpush(
                REPLIES, pickle.dumps([functions.same(number) for number in pickle.loads(body)])
            )
        elif kind == ITEMS.encode():
            version, index = pickle.loads(body)
            import numpy  # Here, as calls with numbers do not need it, and it is slow to load.

            if shared[0] != version:
                shared = version, numpy.frombuffer(redis.get(SHARED))
            redis.rpush(REPLIES, pickle.dumps(functions.item(shared[1], index)))
        else:
            import numpy

            redis.rpush(REPLIES, memoryview(functions.plus_one(numpy.frombuffer(body))).cast("B"))


if __name__ == "__main__":
    work(sys.argv[1])
