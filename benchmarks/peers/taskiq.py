"""taskiq, with a Redis list as broker and Redis as result backend."""

import asyncio
import base64
import pickle

from taskiq.serializers import PickleSerializer
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import PATIENT_REDIS_URL

__all__ = ["Taskiq"]

CHECK = 0.001  # Seconds between two polls of a result; the default is 0.2.
AT_ONCE = 100  # Calls that `map` has in flight at once: more would only wait for a connection.


broker = (
    ListQueueBroker(PATIENT_REDIS_URL, queue_name="peers")
    .with_result_backend(
        RedisAsyncResultBackend(
            PATIENT_REDIS_URL, result_ex_time=120, serializer=PickleSerializer()
        )
    )
    .with_serializer(PickleSerializer())
)


@broker.task
async def same(value):
    """Do nothing; taskiq would run a function without ``async`` in a thread."""
    return functions.same(value)


@broker.task
async def plus_one(text):
    """Add 1 to an array, and return the new one; arrays come and go as text."""
    return _as_text(functions.plus_one(_from_text(text)))


@broker.task
async def item(text, index):
    """Read one number of a large array, which comes as text."""
    return functions.item(_from_text(text), index)


class Taskiq(Peer):
    """taskiq as a peer: one event loop sends each call as a task."""

    title = "taskiq"
    packages = ("taskiq", "taskiq-redis", "redis", "hiredis")
    import_line = "from taskiq_redis import ListQueueBroker"
    crosses_machines = True
    survives_worker_death = "no"
    guarantee = (
        "A list has no acknowledgement: a task leaves it before it runs and is lost with its "
        "process. The broker on streams "
        "acknowledges."
    )
    configuration = (
        f"ListQueueBroker, pickle, arguments not parsed; results looked for every {CHECK * 1000:g} "
        f"ms; `map` is up to {AT_ONCE} "
        "`kiq` in flight at once; arrays as base64 text, as arguments and results become JSON "
        "types."
    )
    documentation = "taskiq: Taskiq + Redis; CLI"

    def start(self, workers: int) -> None:
        self.services.start_redis()
        self.services.start_python(
            "worker",
            *(
                "-m",
                "taskiq",
                "worker",
                "benchmarks.peers.taskiq:broker",
                "--workers",
                str(workers),
            ),
            *("--no-parse", "--log-level", "WARNING"),
        )
        self.loop = asyncio.Runner()
        self.loop.run(broker.startup())

    def round_trip(self, value):
        return self.loop.run(_call(same, value))

    def submit_and_gather(self, calls):
        async def all_of_them():
            tasks = [await same.kiq(number) for number in range(calls)]
            return sum([await _result(task) for task in tasks])

        return self.loop.run(all_of_them())

    def map(self, calls):
        async def all_of_them():
            places = asyncio.Semaphore(AT_ONCE)

            async def whole(number):
                async with places:
                    return await _call(same, number)

            return sum(await asyncio.gather(*map(whole, range(calls))))

        return self.loop.run(all_of_them())

    def payload(self, array):
        return _from_text(self.loop.run(_call(plus_one, _as_text(array))))

    def shared_payload(self, array, calls):
        async def all_of_them():
            tasks = [await item.kiq(_as_text(array), index) for index in range(calls)]
            return sum([await _result(task) for task in tasks])

        return self.loop.run(all_of_them())

    def stop(self) -> None:
        self.loop.run(broker.shutdown())
        self.loop.close()


async def _call(function, *arguments):
    return await _result(await function.kiq(*arguments))


async def _result(task):
    return (await task.wait_result(check_interval=CHECK)).return_value


def _as_text(array):
    """Return an array as text: taskiq makes JSON types of values, whatever its serialiser is."""
    return base64.b64encode(pickle.dumps(array)).decode()


def _from_text(text):
    return pickle.loads(base64.b64decode(text))
