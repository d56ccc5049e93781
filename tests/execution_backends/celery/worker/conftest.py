"""A real worker that Celery's own command starts, with what is seen of it."""

import os
import sys
import threading
from collections.abc import Iterator

import pytest
from celery import Celery

from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.presence import workers
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.execution_backends.celery.worker.observed import TRACED, Observed, heard
from tests.processes import program, wait_until


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp("r")
    (folder / "traced.py").write_text(TRACED)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "traced",
        "worker",
        "-E",
        "-c",
        "1",
        "-n",
        "w1@host",
    ]
    variables = {
        "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    }
    with (
        Server(folder) as server,
        program(command, folder, CELERY_BROKER_URL=server.url, **variables) as worker,
        CeleryExecutionBackend(server.url) as backend,
    ):
        wait_until(lambda: workers(connect(server.url)), "the worker", within=DEADLINE)
        observed = Observed(server, worker, backend)
        app = Celery(broker=server.url, set_as_current=False)
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": observed.take})
            # Without a timeout: to capture anew is to subscribe anew, and an event that comes in
            # between is lost. It looks for `should_stop` once a second.
            listener = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
            listener.start()
            try:
                wait_until(lambda: heard(observed), "the first event", within=DEADLINE)
                yield observed
            finally:
                receiver.should_stop = True
                listener.join(DEADLINE)
        worker.process.terminate()
        assert worker.wait() == 0, worker.output
