"""Huey, with its storage on Redis."""

from huey import RedisHuey

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import PATIENT_REDIS_URL

__all__ = ["Huey"]

WAIT = 120  # Seconds to wait for a result.

huey = RedisHuey("peers", url=PATIENT_REDIS_URL, notify_result=True)

same = huey.task()(functions.same)
plus_one = huey.task()(functions.plus_one)
item = huey.task()(functions.item)


class Huey(Peer):
    """Huey as a peer: calls are tasks, and a notification tells that a result is there."""

    title = "Huey"
    packages = ("huey", "redis", "hiredis")
    import_line = "from huey import RedisHuey"
    crosses_machines = True
    survives_worker_death = "no"
    guarantee = (
        "A task leaves the queue before it runs: one whose process is killed is lost, and so is "
        "its result."
    )
    configuration = (
        "Consumer with processes, no periodic tasks; `notify_result`, so that waiting does not "
        "poll."
    )
    documentation = "Huey guide: Consuming tasks; API: RedisStorage"

    def start(self, workers: int) -> None:
        self.services.start_redis()
        self.services.start_python(
            "worker",
            *("-m", "huey.bin.huey_consumer", "benchmarks.peers.huey.huey"),
            *("--worker-type", "process", "--workers", str(workers), "--no-periodic", "--quiet"),
        )

    def round_trip(self, value):
        return same(value).get(blocking=True, timeout=WAIT)

    def submit_and_gather(self, calls):
        results = [same(number) for number in range(calls)]
        return sum(result.get(blocking=True, timeout=WAIT) for result in results)

    def map(self, calls):
        return sum(same.map(range(calls)).get(blocking=True, timeout=WAIT))

    def payload(self, array):
        return plus_one(array).get(blocking=True, timeout=WAIT)

    def shared_payload(self, array, calls):
        results = [item(array, index) for index in range(calls)]
        return sum(result.get(blocking=True, timeout=WAIT) for result in results)
