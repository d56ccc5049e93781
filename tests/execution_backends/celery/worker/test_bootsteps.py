"""Celery's hooks, called as Celery calls them, where a running worker does not come by."""

import json
import logging
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import redis
from celery import bootsteps

from distribute_challenge import settings
from distribute_challenge.core import interrupts
from distribute_challenge.errors import OptionError
from distribute_challenge.execution import run as execution
from distribute_challenge.execution.output import LogStream
from distribute_challenge.execution.surroundings import Surroundings
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.worker import bootsteps as worker_steps
from distribute_challenge.execution_backends.celery.worker import process_log
from distribute_challenge.execution_backends.celery.worker.app import make_app
from distribute_challenge.execution_backends.celery.worker.flight_recorder import FOLDER_VARIABLE
from distribute_challenge.execution_backends.celery.worker.task import run_batch
from distribute_challenge.security import Purpose
from tests.secret import KEYRING


def test_cores_and_memory_are_shared_among_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own settings stay."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for variable in worker_steps._THREAD_LIMITS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    monkeypatch.setenv(settings.VALUE_CACHE_VARIABLE, "1")
    monkeypatch.delenv(settings.VALUE_CACHE_VARIABLE)
    worker_steps._share_machine(SimpleNamespace(concurrency=4))
    assert settings.value_cache() == settings.value_cache(4)
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert os.environ["MKL_NUM_THREADS"] == "5"


@pytest.fixture
def untouched_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is no worker afterwards, keeps its streams, and records nothing."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(interrupts, "_is_worker", False)
    monkeypatch.setattr(worker_steps, "allow_processes", lambda: None)  # Its hooks stay for ever.
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        monkeypatch.setattr(sys, name, getattr(sys, name))


@pytest.mark.usefixtures("untouched_process")
def test_each_child_process_draws_its_own_random_numbers() -> None:
    """Both generators do so, although NumPy was loaded before the fork."""

    def draw() -> tuple[float, float]:
        random.seed(1)
        numpy.random.seed(1)
        worker_steps._prepare_child()
        return random.random(), float(numpy.random.random())

    first, second = draw(), draw()
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert execution.inside_call()


@pytest.mark.usefixtures("untouched_process")
def test_a_child_without_numpy_does_not_load_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its output goes to the log."""
    monkeypatch.delitem(sys.modules, "numpy")
    worker_steps._prepare_child()
    assert "numpy" not in sys.modules
    assert isinstance(sys.stdout, LogStream)


@pytest.mark.usefixtures("untouched_process")
def test_warning_filters_that_raise_errors_apply_in_child_processes_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without such warnings nothing changes."""
    monkeypatch.setattr(worker_steps, "_filters", None)
    with warnings.catch_warnings():
        warnings.resetwarnings()
        worker_steps._put_filters_aside()
        assert worker_steps._filters is None
        warnings.simplefilter("error")
        worker_steps._put_filters_aside()
        with pytest.warns(UserWarning, match="Celery's own"):
            warnings.warn("Celery's own", UserWarning, stacklevel=1)
        worker_steps._prepare_child()
        with pytest.raises(UserWarning, match="the call's"):
            warnings.warn("the call's", UserWarning, stacklevel=1)


@pytest.mark.usefixtures("untouched_process")
def test_a_child_has_the_limits_of_the_embedded_cluster_s_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its calls do not find among their variables how it got them."""
    before = Surroundings.of_this_process()
    monkeypatch.setenv(
        worker_steps.SURROUNDINGS_VARIABLE, json.dumps(before._replace(recursion_limit=4321))
    )
    try:
        worker_steps._prepare_child()
        assert sys.getrecursionlimit() == 4321
    finally:
        before.apply()
    assert worker_steps.SURROUNDINGS_VARIABLE not in os.environ


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], root.level = handlers, level


def test_the_log_is_written_to_the_file_given_to_celery(
    root_logger: logging.Logger, tmp_path: Path
) -> None:
    """``celery worker --logfile``."""
    process_log.set_up_logging(loglevel=logging.INFO, logfile=str(tmp_path / "worker.log"))
    logging.getLogger("any").info("a line")
    assert "[-] a line" in (tmp_path / "worker.log").read_text()


def test_a_worker_whose_broker_is_full_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """It warns. If the broker is away, Celery notices and reconnects."""

    def refuse(connection: object) -> None:
        raise redis.ResponseError("full")

    def fail(connection: object) -> None:
        raise redis.ConnectionError("gone")

    step = worker_steps.PresenceStep(SimpleNamespace())
    step._connection = SimpleNamespace()  # type: ignore[assignment]
    assert not step._say(refuse)
    assert "does not take what this worker has to say: full" in caplog.text
    with pytest.raises(redis.ConnectionError):
        step._say(fail)


def test_a_pool_that_has_ended_is_not_checked() -> None:
    """A worker that is ended at once may be about to look."""
    step = worker_steps.PresenceStep(SimpleNamespace())
    step._look(SimpleNamespace(pool=SimpleNamespace(_pool=None)))


def test_the_presence_step_starts_with_a_pool_without_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Celery's other pools: solo, threads."""
    said: list[object] = []
    step = worker_steps.PresenceStep(SimpleNamespace())
    monkeypatch.setattr(step, "_say", lambda word: bool(said.append(word)) or True)
    timers: list[float] = []
    conf = SimpleNamespace(broker_transport_options={"visibility_timeout": 7})
    consumer = SimpleNamespace(
        app=SimpleNamespace(conf=conf, url="redis://localhost", gate=None),
        timer=SimpleNamespace(call_repeatedly=lambda every, *_: timers.append(every)),
        pool=SimpleNamespace(),
        task_consumer=SimpleNamespace(channel=SimpleNamespace(qos=SimpleNamespace(unacked=None))),
    )
    step.start(consumer)
    assert timers == [2.0, 1.0, 1.0, 1.0]
    assert len(said) == 4  # Its messages, its presence, is it watched, and the other workers.
    assert worker_steps._children_of(consumer) == []


@pytest.mark.usefixtures("untouched_process")
def test_a_worker_among_workers_with_another_secret_logs_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "strangers", lambda connection: 0)
    worker_steps._look_for_strangers(None)  # type: ignore[arg-type]
    assert caplog.text == ""
    monkeypatch.setattr(presence, "strangers", lambda connection: 2)
    worker_steps._look_for_strangers(None)  # type: ignore[arg-type]
    assert "2 workers of this cluster have another secret than this one" in caplog.text


def test_a_worker_that_cannot_renew_its_leases_does_not_report_others_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = worker_steps.PresenceStep(SimpleNamespace())
    held_off: list[bool] = []
    step._reaper = SimpleNamespace(hold_off=lambda: held_off.append(True))  # type: ignore[assignment]
    monkeypatch.setattr(step, "_say", lambda word: False)
    step._renew(None)
    assert held_off == [True]


def test_a_worker_that_ends_while_redis_is_away_still_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It logs that its good-bye was not heard."""
    step = worker_steps.PresenceStep(SimpleNamespace())
    step._connection = None  # type: ignore[assignment]

    def away(*_: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(presence, "leave", away)
    timer = SimpleNamespace(call_repeatedly=lambda *_: None)
    step.stop(
        SimpleNamespace(
            blueprint=SimpleNamespace(state=bootsteps.CLOSE), timer=timer, hostname="w@here"
        )
    )
    assert "cannot say good-bye: away" in caplog.text


@pytest.mark.slow
def test_celery_finds_the_app_in_the_package() -> None:
    """``celery -A`` finds it in a process that has loaded nothing yet."""
    code = (
        "import distribute_challenge.execution_backends.celery as module, sys\n"
        "assert 'celery' not in sys.modules\n"
        "assert module.app.main == 'distribute_challenge'\n"
        "try:\n    module.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    variables = {**os.environ, "CELERY_BROKER_URL": "redis://localhost"}
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "has no attribute 'nothing'" in found.stdout


def test_a_worker_without_an_address_is_refused(clean_environment: pytest.MonkeyPatch) -> None:
    """Celery would look for a RabbitMQ on this machine."""
    with pytest.raises(OptionError, match="needs the address"):
        make_app()


def test_a_child_waits_for_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits before it says that a function is missing."""
    from distribute_challenge.execution_backends.celery.worker import task

    purpose = Purpose.function("digest")
    answers = iter(
        [redis.ConnectionError("gone"), KEYRING.seal(purpose, [b"payload"]), None, b"forged"]
    )

    def get(key: str) -> bytes | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    child = task._Child("redis://localhost", KEYRING.refusals)
    monkeypatch.setattr(
        child, "connection", SimpleNamespace(get=get, hget=lambda *_: None, keyring=KEYRING)
    )
    assert child._fetch("digest") == b"payload"
    assert child._fetch("digest") is None
    assert child._fetch("digest") is None, "what is forged is not there"
    assert callable(run_batch)
