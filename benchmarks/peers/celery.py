"""Plain Celery, with Redis as broker and as result backend."""

from celery import Celery, group

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import REDIS_URL

__all__ = ["PlainCelery"]

CHUNK = 1_000  # Calls in one message of `chunks`: five times as fast as 200, and faster than 5,000.

app = Celery("peers", broker=REDIS_URL, backend=REDIS_URL)
app.conf.update(
    # As the documentation named below advises: large for many short tasks.
    worker_prefetch_multiplier=128,
    task_default_delivery_mode="transient",
    worker_disable_rate_limits=True,
    result_expires=300,
    # For the arrays: JSON, the default, cannot carry them, and the results of all tasks share one
    # serialiser.
    accept_content=["json", "pickle"],
    result_serializer="pickle",
)

same = app.task(functions.same)
plus_one = app.task(functions.plus_one, serializer="pickle")
item = app.task(functions.item, serializer="pickle")


class PlainCelery(Peer):
    """Plain Celery as a peer: calls are tasks of their own, or travel in chunks."""

    title = "Celery"
    packages = ("celery", "kombu", "redis", "hiredis")
    import_line = "from celery import Celery"
    crosses_machines = True
    survives_worker_death = "no"
    guarantee = (
        "Tasks are acknowledged before they run, as is the default: those that a killed process "
        "ran fail or are lost. "
        "`task_acks_late` would change that."
    )
    configuration = (
        "prefork; prefetch multiplier 128, transient delivery, no rate limits, no gossip, mingle "
        "or heartbeat; JSON for "
        f"numbers, pickle for arrays and results; `map` is `chunks({CHUNK})`."
    )
    documentation = "Celery user guide: Optimizing; Canvas: Chunks"

    def start(self, workers: int) -> None:
        self.services.start_redis()
        self.services.start_python(
            "worker",
            *("-m", "celery", "-A", "benchmarks.peers.celery:app", "worker"),
            *("--pool", "prefork", "--concurrency", str(workers), "--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            # Celery refuses pickle to root, and in containers programs mostly run as root.
            environment={"C_FORCE_ROOT": "1"},
        )

    def round_trip(self, value):
        return same.delay(value).get()

    def submit_and_gather(self, calls):
        results = [same.delay(number) for number in range(calls)]
        return sum(result.get() for result in results)

    def map(self, calls):
        chunks = same.chunks(((number,) for number in range(calls)), CHUNK)()
        return sum(sum(chunk) for chunk in chunks.get())

    def other_ways(self):
        return {
            "group": lambda calls: sum(group(same.s(number) for number in range(calls))().get())
        }

    def payload(self, array):
        return plus_one.delay(array).get()

    def shared_payload(self, array, calls):
        results = [item.delay(array, index) for index in range(calls)]
        return sum(result.get() for result in results)

    def stop(self) -> None:
        app.close()
