"""RQ, with a pool of workers that do not fork."""

from redis import Redis
from rq import Queue

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import PATIENT_REDIS_URL, REDIS_URL

__all__ = ["Rq"]

KEEP = 120  # Seconds that jobs and their results are kept.
WAIT = 120  # Seconds to wait for a result.


class Rq(Peer):
    """RQ as a peer: calls are jobs, and each job's stream brings its result."""

    title = "RQ"
    packages = ("rq", "redis", "hiredis")
    import_line = "from rq import Queue"
    crosses_machines = True
    survives_worker_death = "partly"
    guarantee = (
        "A job whose worker died stays in the registry of started jobs until it is found "
        "abandoned, and then fails; it runs "
        "again only if it was given `retry`. A SimpleWorker dies with the job that crashes."
    )
    configuration = (
        "`rq worker-pool` with SimpleWorker, which its documentation advises for jobs of "
        "milliseconds (the default "
        "worker forks for each); `map` is `enqueue_many`; results by `latest_result(timeout=…)`; "
        "pickle."
    )
    documentation = "RQ: Notes on Performance; Results; Bulk Job Enqueueing"

    def start(self, workers: int) -> None:
        self.services.start_redis()
        self.services.start_python(
            "worker",
            *(
                "-m",
                "rq.cli",
                "worker-pool",
                "peers",
                "--url",
                REDIS_URL,
                "--num-workers",
                str(workers),
            ),
            *("--worker-class", "rq.worker.SimpleWorker", "--quiet"),
        )
        self.queue = Queue("peers", connection=Redis.from_url(PATIENT_REDIS_URL))

    def round_trip(self, value):
        return self._result(self.queue.enqueue(functions.same, value, result_ttl=KEEP))

    def submit_and_gather(self, calls):
        jobs = [
            self.queue.enqueue(functions.same, number, result_ttl=KEEP) for number in range(calls)
        ]
        return sum(map(self._result, jobs))

    def map(self, calls):
        data = [
            Queue.prepare_data(functions.same, (number,), result_ttl=KEEP)
            for number in range(calls)
        ]
        return sum(map(self._result, self.queue.enqueue_many(data)))

    def payload(self, array):
        return self._result(
            self.queue.enqueue(functions.plus_one, array, result_ttl=KEEP, description="plus_one")
        )

    def shared_payload(self, array, calls):
        # Without a description, RQ would write the array as text.
        jobs = [
            self.queue.enqueue(functions.item, array, index, result_ttl=KEEP, description="item")
            for index in range(calls)
        ]
        return sum(map(self._result, jobs))

    def _result(self, job):
        return job.latest_result(timeout=WAIT).return_value
