"""Lists the peers in the order of the tables.

A peer that cannot share the common environment is listed with the requirements of its own one. To
add a peer, write a subclass of `benchmarks.peers.base.Peer` in a new file, and add a line here.
"""

from collections.abc import Sequence

from benchmarks.choosing import select
from benchmarks.sessions.entry import FLOOR, OURS, Entry

__all__ = ["CATALOGUE", "chosen"]

# What a peer's own environment needs for the measurements themselves.
_MEASURING = ("numpy >=2.3", "psutil >=7.0")

_ENTRIES = (
    Entry(OURS, "benchmarks.peers.distribute_challenge:DistributeChallenge"),
    Entry("distribute_challenge_tcp", "benchmarks.peers.distribute_challenge:OverTcp"),
    Entry("celery", "benchmarks.peers.celery:PlainCelery"),
    Entry("rq", "benchmarks.peers.rq:Rq"),
    Entry("dramatiq", "benchmarks.peers.dramatiq:Dramatiq"),
    Entry("huey", "benchmarks.peers.huey:Huey"),
    # arq asks for a redis-py older than the one that the library asks for.
    Entry("arq", "benchmarks.peers.arq:Arq", ("arq >=0.28", "hiredis >=3.2", *_MEASURING)),
    Entry("taskiq", "benchmarks.peers.taskiq:Taskiq"),
    Entry("dask", "benchmarks.peers.dask:Dask"),
    Entry("ray", "benchmarks.peers.ray:Ray"),
    Entry("parsl", "benchmarks.peers.parsl:Parsl"),
    Entry("joblib", "benchmarks.peers.joblib:Joblib"),
    Entry("loky", "benchmarks.peers.loky:Loky"),
    Entry("process_pool", "benchmarks.peers.process_pool:ProcessPool"),
    Entry("multiprocessing_pool", "benchmarks.peers.multiprocessing_pool:MultiprocessingPool"),
    Entry(FLOOR, "benchmarks.peers.bare_redis:BareRedis"),
    Entry("bare_redis_socket", "benchmarks.peers.bare_redis:BareRedisSocket"),
)

CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def chosen(names: Sequence[str]) -> list[Entry]:
    """Return the entries with these names, in the catalogue's order; all if no name is given.

    Raises:
        KeyError: No peer has one of the names.
    """
    return select(CATALOGUE, names, "peer")
