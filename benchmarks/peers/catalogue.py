"""Lists the peers in the order of the tables.

A peer that cannot share the common environment is listed with the requirements of its own one. To
add a peer, write a subclass of `benchmarks.peers.base.Peer` in a new file, and add a line here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from benchmarks.choosing import select
from benchmarks.peers.base import Peer

__all__ = ["CATALOGUE", "FLOOR", "OURS", "Entry", "chosen", "load"]

OURS = "distribute_challenge"  # All ratios are relative to this one.
FLOOR = "bare_redis"


@dataclass(frozen=True)
class Entry:
    """A peer of the catalogue, and where its class is.

    Attributes:
        name: Name for ``--only``.
        place: ``module:Class`` within this package.
        requirements: Requirements of an environment of its own; empty if it uses the environment
            with the dependency group ``peers``.
    """

    name: str
    place: str
    requirements: tuple[str, ...] = ()


# What a peer's own environment needs for the measurements themselves.
_MEASURING = ("numpy >=2.3", "psutil >=7.0")

_ENTRIES = (
    Entry(OURS, "distribute_challenge:DistributeChallenge"),
    Entry("distribute_challenge_tcp", "distribute_challenge:OverTcp"),
    Entry("celery", "celery:PlainCelery"),
    Entry("rq", "rq:Rq"),
    Entry("dramatiq", "dramatiq:Dramatiq"),
    Entry("huey", "huey:Huey"),
    # arq asks for a redis-py older than the one that the library asks for.
    Entry("arq", "arq:Arq", ("arq >=0.28", "hiredis >=3.2", *_MEASURING)),
    Entry("taskiq", "taskiq:Taskiq"),
    Entry("dask", "dask:Dask"),
    Entry("ray", "ray:Ray"),
    Entry("parsl", "parsl:Parsl"),
    Entry("joblib", "joblib:Joblib"),
    Entry("loky", "loky:Loky"),
    Entry("process_pool", "process_pool:ProcessPool"),
    Entry("multiprocessing_pool", "multiprocessing_pool:MultiprocessingPool"),
    Entry(FLOOR, "bare_redis:BareRedis"),
    Entry("bare_redis_socket", "bare_redis:BareRedisSocket"),
)

CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def chosen(names: Sequence[str]) -> list[Entry]:
    """Return the entries with these names, in the catalogue's order; all if no name is given.

    Raises:
        KeyError: No peer has one of the names.
    """
    return select(CATALOGUE, names, "peer")


def load(name: str) -> type[Peer]:
    """Return the class of a peer; this imports the peer's own library.

    Raises:
        ImportError: That library is not installed here.
    """
    module, _, attribute = CATALOGUE[name].place.partition(":")
    peer: type[Peer] = getattr(import_module(f"benchmarks.peers.{module}"), attribute)
    return peer
