"""Starting a worker with the right settings, from the command line and for the embedded cluster."""

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

#: JSON list of folders that the client could import from; only set between processes of one
#: machine.
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
    """A Celery worker, not started.

    Args:
        broker_url: The broker; None: what the environment says.
        concurrency: Worker processes.
        queues: Queues to serve.
        name: Part of its name before the ``@host``.
        loglevel: As `logging` names it.
        lease: As for `application.make_app`; None: the default.
        max_calls: Calls after which a process is replaced by a new one, between two messages; None:
            never.
        max_memory: Bytes that a process may hold between two messages; one that holds more is
            replaced. None: any.
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
        # Chatter between workers that nothing here reads; the first of them costs a second at every
        # start. The heartbeat stays: without it Celery sends no events at all, and Flower would see
        # nothing.
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )


def run_worker(broker_url: str | None, **options: Any) -> int:
    """Run a worker until it is told to stop; its exit code. Options as for `make_worker`."""
    worker = make_worker(broker_url, **options)
    worker.start()
    return int(worker.exitcode or 0)


def _main(url: str, concurrency: str, name: str) -> int:
    """The embedded cluster's worker."""
    # Behind everything else, so that a file of the user's never takes the place of a library the
    # worker needs.
    sys.path.extend(
        path for path in json.loads(os.environ.get(PATHS_VARIABLE, "[]")) if path not in sys.path
    )
    from distribute_challenge.execution_backends.celery.worker.deaths import appoint

    # Celery's pool keeps a file there; a worker that is killed could not remove a folder of its
    # own.
    folder = os.path.dirname(urlsplit(url).path)
    multiprocessing.current_process()._config["tempdir"] = folder  # type: ignore[attr-defined]
    appoint(Path(folder))
    return run_worker(url, concurrency=int(concurrency), name=name)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
