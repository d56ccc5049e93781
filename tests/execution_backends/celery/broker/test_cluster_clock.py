"""The time of a cluster, by its Redis."""

import pytest

from distribute_challenge.core import clock
from distribute_challenge.execution_backends.celery.broker.cluster_clock import (
    FRESH,
    ClusterClock,
    clock_of,
)
from distribute_challenge.execution_backends.celery.broker.connection import (
    check_reachable,
    connect,
)
from tests.execution_backends.celery.conftest import Server

pytestmark = pytest.mark.celery

HOURS = 3 * 3600.0


class Elsewhere:
    """A Redis on a machine whose clock is wrong by some hours."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead
        self.asked = 0

    def time(self) -> tuple[int, int]:
        self.asked += 1
        shown = clock.now() + self.ahead
        return int(shown), int(shown % 1 * 1e6)


def test_the_cluster_clock_shows_local_time_until_redis_was_asked() -> None:
    """This time is most likely right."""
    assert abs(ClusterClock().now() - clock.now()) < 1


@pytest.mark.parametrize("ahead", [HOURS, -HOURS])
def test_the_cluster_clock_follows_the_time_of_redis_once_asked(ahead: float) -> None:
    """It goes on from there."""
    cluster = ClusterClock()
    shown = cluster.ask(Elsewhere(ahead))  # type: ignore[arg-type]
    assert abs(cluster.now() - shown) < 1
    assert abs(cluster.now() - clock.now() - ahead) < 1


def test_the_cluster_clock_asks_again_when_its_answer_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not ask before."""
    cluster, server = ClusterClock(), Elsewhere(HOURS)
    for _ in range(3):
        assert abs(cluster.ask_if_old(server) - clock.now() - HOURS) < 1  # type: ignore[arg-type]
    assert server.asked == 1
    later = clock.uptime() + FRESH + 1
    monkeypatch.setattr(clock, "uptime", lambda: later)
    cluster.ask_if_old(server)  # type: ignore[arg-type]
    assert server.asked == 2


def test_all_connections_to_one_broker_share_a_cluster_clock(server: Server) -> None:
    """All connections of a process to one broker have one clock."""
    check_reachable(server.url)
    cluster = clock_of(server.url)
    assert cluster is connect(server.url).clock
    assert cluster._asked is not None
