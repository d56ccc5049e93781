"""A worker of another version joins the cluster, as while it is upgraded."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.chaos.kinds.clients import another_client, has_its_values
from benchmarks.chaos.kinds.kind import END_WITHIN, Kind
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.other_version import other_version
from benchmarks.rig.rig import Rig

__all__ = ["VERSIONS"]

NAME = "other"  # Of the worker.


@contextmanager
def other_version_joins(rig: Rig, fault: Fault) -> Iterator[None]:
    """It takes calls that it cannot run, and is to leave them to the others."""
    worker = rig.new_worker(NAME, PYTHONPATH=str(other_version(rig.folder / "other_version")))
    worker.start()
    try:
        worker.wait_until_ready()
        with another_client(rig) as client:
            yield
            has_its_values(client)
        worker.end(within=END_WITHIN)
    finally:
        worker.close()


VERSIONS = {"other version joins": Kind(other_version_joins, (3.0, 10.0))}
