"""Dramatiq, with Redis as broker and as result backend."""

import dramatiq
from dramatiq import PickleEncoder
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import PATIENT_REDIS_URL

__all__ = ["Dramatiq"]

KEEP = 120_000  # Milliseconds that results are kept.
WAIT = 120_000  # Milliseconds to wait for a result.

broker = RedisBroker(url=PATIENT_REDIS_URL)
broker.add_middleware(
    Results(backend=RedisBackend(url=PATIENT_REDIS_URL, encoder=PickleEncoder()), result_ttl=KEEP)
)
dramatiq.set_broker(broker)
dramatiq.set_encoder(PickleEncoder())

same = dramatiq.actor(functions.same, store_results=True)
plus_one = dramatiq.actor(functions.plus_one, store_results=True)
item = dramatiq.actor(functions.item, store_results=True)


class Dramatiq(Peer):
    """Dramatiq as a peer: calls are messages, and a blocking Redis command waits for results."""

    title = "Dramatiq"
    packages = ("dramatiq", "redis", "hiredis")
    import_line = "import dramatiq"
    crosses_machines = True
    survives_worker_death = "partly"
    guarantee = (
        "Messages are acknowledged after the work; those of a dead worker go back to the queue "
        "when its heartbeat is a minute "
        "old. But when one process dies, the command ends the others too: something must start it "
        "again."
    )
    configuration = (
        "One thread in each process, queue prefetch 100; pickle encoder, for the arrays; `map` is "
        "`group`."
    )
    documentation = (
        "Dramatiq user guide: Message Results; Advanced Topics: Prefetch Limits, Workers"
    )

    def start(self, workers: int) -> None:
        self.services.start_redis()
        self.services.start_python(
            "worker",
            *(
                "-m",
                "dramatiq",
                "benchmarks.peers.dramatiq",
                "--processes",
                str(workers),
                "--threads",
                "1",
            ),
            environment={"dramatiq_queue_prefetch": "100"},
        )

    def round_trip(self, value):
        return same.send(value).get_result(block=True, timeout=WAIT)

    def submit_and_gather(self, calls):
        messages = [same.send(number) for number in range(calls)]
        return sum(message.get_result(block=True, timeout=WAIT) for message in messages)

    def map(self, calls):
        running = dramatiq.group(same.message(number) for number in range(calls)).run()
        return sum(running.get_results(block=True, timeout=WAIT))

    def payload(self, array):
        return plus_one.send(array).get_result(block=True, timeout=WAIT)

    def shared_payload(self, array, calls):
        messages = [item.send(array, index) for index in range(calls)]
        return sum(message.get_result(block=True, timeout=WAIT) for message in messages)

    def stop(self) -> None:
        broker.close()
