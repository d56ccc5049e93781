"""Starts a worker with the right settings, for the command line and for the embedded cluster."""

import gc
import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distribute_challenge.settings import DEFAULT_QUEUE

__all__ = ["PATHS_VARIABLE", "make_worker", "run_worker"]

#: JSON list of folders that the client could import from; only the embedded cluster sets it.
PATHS_VARIABLE = "DISTRIBUTE_CHALLENGE_PATHS"


def make_worker(
    broker_url: str | None,
    *,
    concurrency: int,
    queues: Sequence[str] = (DEFAULT_QUEUE,),
    name: str = "worker",
    loglevel: str = "INFO",
    lease: int | None = None,
    max_calls: int | None = None,
    max_memory: int | None = None,
) -> Any:
    """Make a Celery worker, without starting it.

    Args:
        broker_url: The broker; None: the broker from the environment.
        concurrency: Number of child processes.
        queues: Queues to serve.
        name: Part of its name before the ``@host``.
        loglevel: Name of a level of `logging`.
        lease: As for `app.make_app`, in seconds; None: the default.
        max_calls: Calls after which a child process is replaced by a new one, between two messages;
            None: never.
        max_memory: Bytes that a child process may hold between two messages; a child that holds
            more is replaced. None: any.
    """
    from distribute_challenge.execution_backends.celery.worker.app import LEASE, make_app
    from distribute_challenge.execution_backends.celery.worker.overrides.pool import WorkerPool

    app = make_app(broker_url, lease or LEASE)
    app.set_current()
    return app.Worker(
        hostname=name if "@" in name else f"{name}@{socket.gethostname()}",
        concurrency=concurrency,
        queues=",".join(queues),
        pool=WorkerPool,
        optimization="fair",
        max_tasks_per_child=max_calls,
        max_memory_per_child=None if max_memory is None else max(1, max_memory // 1024),
        loglevel=loglevel,
        # Messages between workers that nothing here reads; mingle costs a second at every start.
        # The heartbeat stays: without it, Celery sends no events at all, and Flower shows nothing.
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )


def run_worker(broker_url: str | None, **options: Any) -> int:
    """Run a worker until it is told to stop; its exit code. Options as for `make_worker`."""
    # By these Celery starts it anew at SIGHUP. Its own are without the interpreter's options, and
    # ``-m`` is a path in them, which would put the folder of this package in front of all others: a
    # call's ``import settings`` would find the file of that name there.
    sys.argv[:] = sys.orig_argv[1:]
    gc.disable()  # Else a fifth of the time of all these imports goes to looking for garbage.
    try:
        worker = make_worker(broker_url, **options)
    finally:
        gc.enable()
    # The collector never looks at what is there by now, in the child processes either: they would
    # copy all its memory.
    gc.freeze()
    worker.start()
    return int(worker.exitcode or 0)


def _main(url: str, concurrency: str, name: str) -> int:
    """Run the embedded cluster's worker."""
    # The client's folders come last, so that a file of the user's never takes the place of a
    # library that the worker needs.
    sys.path.extend(
        path for path in json.loads(os.environ.get(PATHS_VARIABLE, "[]")) if path not in sys.path
    )
    from distribute_challenge.execution_backends.celery.worker.crash_reports import crash_reporter

    # Celery's pool has a temporary file, and a worker that is killed cannot remove a folder of its
    # own. So the file lies in the cluster's folder, which the supervisor removes.
    folder = os.path.dirname(urlsplit(url).path)
    multiprocessing.current_process()._config["tempdir"] = folder  # type: ignore[attr-defined]
    crash_reporter(Path(folder))
    return run_worker(url, concurrency=int(concurrency), name=name)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
