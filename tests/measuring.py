"""How coverage measures the processes that tests start."""

import os
from pathlib import Path

import distribute_challenge

__all__ = ["measure_only_what_runs"]


def measure_only_what_runs() -> None:
    """Let child processes look for no files that they have not run, if this process is measured.

    With coverage's option `source`, each of a thousand processes would look through all files of the
    package as it ends, which takes longer than all else there. It is enough that pytest does so.
    """
    if "COVERAGE_PROCESS_CONFIG" not in os.environ:
        return
    from coverage import Coverage

    measured = Coverage.current()
    assert measured is not None
    # This process has begun: forks and programs begin with what is set here.
    measured.set_option("run:source", [])
    measured.set_option("run:include", [f"{Path(distribute_challenge.__file__).parent}/*"])
    os.environ["COVERAGE_PROCESS_CONFIG"] = measured.config.serialize()
