"""The embedded cluster's worker, with marks; the session puts it in the place of the usual one."""

import os
import runpy
from pathlib import Path

from benchmarks.self.where import marks
from benchmarks.self.where.instruments import install_in_worker

__all__ = ["main"]

WORKER = "distribute_challenge.execution_backends.celery.worker.main"


def main() -> None:
    """Run the worker, whose arguments this program was given."""
    marks.start(Path(os.environ[marks.FOLDER_VARIABLE]), "main")
    install_in_worker()
    runpy.run_module(WORKER, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
