"""arq: asyncio jobs on Redis."""

import asyncio

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import REDIS_PORT

__all__ = ["Arq", "WorkerSettings"]

# Seconds between two polls of the queue, and of a result; the default of 0.5 suits jobs that take
# seconds.
POLL = 0.002
AT_ONCE = 100  # Calls that `map` has in flight at once: more would only wait for a connection.


async def same(context, value):
    """Do nothing."""
    return functions.same(value)


async def plus_one(context, array):
    """Add 1 to an array, and return the new one."""
    return functions.plus_one(array)


async def item(context, array, index):
    """Read one number of a large array."""
    return functions.item(array, index)


class WorkerSettings:
    """Settings that the command of arq's workers reads."""

    functions = (same, plus_one, item)
    redis_settings = RedisSettings(host="127.0.0.1", port=REDIS_PORT)
    poll_delay = POLL
    max_jobs = 100
    keep_result = 120
    log_results = False


class Arq(Peer):
    """arq as a peer: one event loop enqueues each call as a job."""

    title = "arq"
    packages = ("arq", "redis", "hiredis")
    import_line = "from arq import create_pool"
    crosses_machines = True
    survives_worker_death = "yes"
    guarantee = (
        "Jobs stay in the queue until they are done, and may run twice; one whose worker died is "
        "taken up again when its "
        "mark of being in progress expires, after the job timeout (300 s by default)."
    )
    configuration = (
        f"As many worker programs as processes; poll delay {POLL * 1000:g} ms at both ends, 100 "
        f"jobs at a time; `map` is "
        f"up to {AT_ONCE} `enqueue_job` in flight at once."
    )
    documentation = "arq: Usage; API Reference: Worker"

    def start(self, workers: int) -> None:
        self.services.start_redis()
        for number in range(workers):
            self.services.start_python(
                f"worker{number}", "-m", "arq", "benchmarks.peers.arq.WorkerSettings"
            )
        self.loop = asyncio.Runner()
        self.redis = self.loop.run(create_pool(WorkerSettings.redis_settings))

    def round_trip(self, value):
        return self.loop.run(self._call("same", value))

    def submit_and_gather(self, calls):
        async def all_of_them():
            jobs = [await self.redis.enqueue_job("same", number) for number in range(calls)]
            return sum([await job.result(poll_delay=POLL) for job in jobs])

        return self.loop.run(all_of_them())

    def map(self, calls):
        async def all_of_them():
            places = asyncio.Semaphore(AT_ONCE)

            async def enqueue(number):
                async with places:
                    return await self.redis.enqueue_job("same", number)

            jobs = await asyncio.gather(*map(enqueue, range(calls)))
            return sum([await job.result(poll_delay=POLL) for job in jobs])

        return self.loop.run(all_of_them())

    def payload(self, array):
        return self.loop.run(self._call("plus_one", array))

    def shared_payload(self, array, calls):
        async def all_of_them():
            jobs = [await self.redis.enqueue_job("item", array, index) for index in range(calls)]
            return sum([await job.result(poll_delay=POLL) for job in jobs])

        return self.loop.run(all_of_them())

    async def _call(self, name, *arguments):
        job = await self.redis.enqueue_job(name, *arguments)
        return await job.result(poll_delay=POLL)

    def stop(self) -> None:
        self.loop.run(self.redis.aclose())
        self.loop.close()
