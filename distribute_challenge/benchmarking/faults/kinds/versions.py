"""A worker of another version joins the cluster, as while it is upgraded."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import distribute_challenge
from distribute_challenge.benchmarking.faults.kinds.clients import another_client, has_its_values
from distribute_challenge.benchmarking.faults.kinds.kind import END_WITHIN, Kind
from distribute_challenge.benchmarking.faults.rig import Rig
from distribute_challenge.benchmarking.faults.schedule import Fault

__all__ = ["VERSIONS", "other_version"]

OTHER = "99.0.0"
NAME = "other"  # Of the worker.


def other_version(folder: Path) -> Path:
    """A copy of this library that says that it is of another version.

    Args:
        folder: Where it is made, if it is not there already.

    Returns:
        The folder to import it from.
    """
    package = folder / "distribute_challenge"
    if not package.exists():
        source = Path(distribute_challenge.__file__).parent
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        file = package / "version.py"
        file.write_text(re.sub(r'(__version__ = ")[^"]*', rf"\g<1>{OTHER}", file.read_text()))
    return folder


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
