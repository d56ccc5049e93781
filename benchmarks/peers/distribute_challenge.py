"""The library itself: on its embedded cluster, and with a worker on a Redis server over TCP."""

import os
import secrets

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import REDIS_URL
from distribute_challenge import compute_this, put

__all__ = ["DistributeChallenge", "OverTcp"]

same = compute_this()(functions.same)
plus_one = compute_this()(functions.plus_one)
item = compute_this()(functions.item)


class DistributeChallenge(Peer):
    """The library as a peer, on the embedded cluster that it starts itself."""

    title = "distribute_challenge"
    packages = ("distribute_challenge", "celery", "kombu", "redis")
    import_line = "from distribute_challenge import compute_this"
    # With an address set, as in the next class.
    crosses_machines = True
    survives_worker_death = "yes"
    guarantee = (
        "Messages are acknowledged after the work, so calls of a worker that dies run again, the "
        "one that killed it up to "
        "three times."
    )
    configuration = (
        "Defaults, with the number of workers set: embedded cluster, Redis on a Unix socket."
    )
    documentation = "README"

    def start(self, workers: int) -> None:
        os.environ["DISTRIBUTE_CHALLENGE_WORKERS"] = str(workers)

    def round_trip(self, value):
        return same(value).compute()

    def submit_and_gather(self, calls):
        futures = [same(number).submit() for number in range(calls)]
        return sum(future.result() for future in futures)

    def map(self, calls):
        return sum(same.map(range(calls)))

    def payload(self, array):
        return plus_one(array).compute()

    def shared_payload(self, array, calls):
        shared = put(array)
        futures = [item(shared, index).submit() for index in range(calls)]
        return sum(future.result() for future in futures)


class OverTcp(DistributeChallenge):
    """The library with a worker started by its command, as on a user's own cluster."""

    title = "distribute_challenge over TCP"
    configuration = "Defaults: `distribute-challenge worker`, Redis on 127.0.0.1."
    documentation = "README, A cluster of your own"

    def start(self, workers: int) -> None:
        os.environ.setdefault("DISTRIBUTE_CHALLENGE_SECRET", secrets.token_hex(32))
        os.environ["DISTRIBUTE_CHALLENGE_ALLOW_ROOT"] = (
            "1"  # Benchmarks mostly run as root, in containers.
        )
        self.services.start_redis()
        self.services.start_python(
            "worker",
            "-m",
            "distribute_challenge",
            "worker",
            "--broker",
            REDIS_URL,
            "--concurrency",
            str(workers),
        )
        os.environ["DISTRIBUTE_CHALLENGE_BROKER_URL"] = REDIS_URL
