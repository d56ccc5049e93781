"""A Redis that goes away for good: all that waits for it raises after the time that is set."""

from typing import Any

import pytest

from benchmarks.rig.calls import pause
from distribute_challenge import attach
from distribute_challenge.errors import BrokerUnreachableError
from distribute_challenge.execution_backends.celery.broker.publishing import queue_length
from distribute_challenge.settings import BROKER_TIMEOUT_VARIABLE, DEFAULT_QUEUE
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, Load, names
from tests.processes import wait_until

TIMEOUT = 2.0  # Seconds that calls wait for Redis in this file.


@pytest.fixture
def impatient(make: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Rigs whose client does not wait for Redis for long."""

    def start(**options: Any) -> Any:
        monkeypatch.setenv(BROKER_TIMEOUT_VARIABLE, str(TIMEOUT))
        return make(**options)

    return start


@pytest.mark.slow
def test_every_kind_of_call_fails_when_redis_is_gone_for_good(impatient: Make) -> None:
    """The error has the time and what to check. Later calls fail, too, until Redis is back."""
    rig, backend = impatient(workers=1)
    load = Load(rig, backend)
    load.submit(1, 30.0)
    load.wait_for_begin()
    load.submit(20)
    told: list[BaseException | None] = []
    load.submit(1)[0].add_done_callback(lambda future: told.append(future.exception()))
    detached = pause(0).submit(backend, detach=True)
    mapped = iter(pause.map([0.0] * 3, backend=backend))
    with rig.redis.connection() as connection:
        wait_until(lambda: queue_length(connection, DEFAULT_QUEUE) > 1, "messages that wait")
    rig.redis.kill()
    within = TIMEOUT + 5 + BUSY
    assert names(future.exception(within) for future in load.futures.values()) == {
        "BrokerUnreachableError"
    }
    with pytest.raises(
        BrokerUnreachableError,
        match=rf"no Redis answers.*wait for 2 s \({BROKER_TIMEOUT_VARIABLE}\)",
    ):
        next(mapped)
    with pytest.raises(
        BrokerUnreachableError, match=rf"attach\('{detached.id}'\) gives its result"
    ):
        detached.result(within)
    wait_until(lambda: names(told) == {"BrokerUnreachableError"}, "a callback that is told")
    with pytest.raises(BrokerUnreachableError):
        pause(0).compute(backend, timeout=within)
    (later,) = load.submit(1)
    assert isinstance(later.exception(within), BrokerUnreachableError)
    # Back after all: the client goes on, with room for as many messages as before.
    for worker in rig.workers:
        worker.kill()
    rig.redis.start()
    rig.add_worker()
    wait_until(lambda: pause(0).submit(backend).exception(60) is None, "a call that runs")
    assert attach(detached.id, backend).result(60) is None
