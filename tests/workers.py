"""Real workers, started as users start them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from distribute_challenge.cluster.embedded import WORKER_MODULE
from tests.processes import PATIENCE, Program, program

__all__ = ["WORKER_PROGRAM", "StartLeased", "leased_workers", "start_worker"]

#: What the embedded cluster starts, too; behind it come the address, the number of processes and
#: the name.
WORKER_PROGRAM = [sys.executable, "-P", "-m", WORKER_MODULE]

StartLeased = Callable[..., "subprocess.Popen[bytes]"]


def start_worker(
    url: str,
    folder: Path,
    *,
    name: str = "worker",
    processes: int = 1,
    options: Sequence[str] = (),
    **variables: str,
) -> AbstractContextManager[Program]:
    """Start a worker with more options, for a ``with`` block; it may not be ready at its begin."""
    command = [
        sys.executable,
        "-m",
        "distribute_challenge",
        "worker",
        "--broker",
        url,
        "-c",
        str(processes),
        "-n",
        name,
        *options,
    ]
    return program(command, folder, **variables)


@contextmanager
def leased_workers(url: str, folder: Path) -> Iterator[StartLeased]:
    """Yield a function that starts a one-process worker by name, in its own process group."""
    started = []

    def start(name: str, *, lease: int = 3, **variables: str) -> "subprocess.Popen[bytes]":
        code = (
            "from distribute_challenge.execution_backends.celery.worker.main import run_worker\n"
            f"run_worker({url!r}, concurrency=1, name={name!r}, lease={lease})\n"
        )
        with (folder / f"{name}.log").open("w") as output:
            command, environment = [sys.executable, "-c", code], {**os.environ, **variables}
            process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, env=environment
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
