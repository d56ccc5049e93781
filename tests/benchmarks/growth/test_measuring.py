"""Real loads, small ones, on real clusters."""

import json
from collections.abc import Iterator

import pytest

from benchmarks.growth import measuring, session, standing
from benchmarks.growth.client import Client, Load
from benchmarks.growth.limits import costs
from benchmarks.growth.standing import StandingSetting
from distribute_challenge import LocalCluster

pytestmark = [pytest.mark.celery, pytest.mark.slow]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with LocalCluster(1) as cluster, Client(cluster.broker_url) as client:
        client.wait_until_ready()
        yield client


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(Load(1, 0.05), id="one by one"),
        pytest.param(Load(20, 0.05), id="together"),
        pytest.param(Load(1, 0.0, size=1), id="a byte"),
        pytest.param(Load(3, 0.0, size=200_000), id="large arguments"),
    ],
)
def test_a_client_loads_the_cluster_as_it_is_told(client: Client, load: Load) -> None:
    client.begin(load)
    done = client.end()
    assert done.calls >= load.in_flight
    assert done.seconds >= load.seconds
    assert done.cpu > 0
    assert 0 < min(done.latencies) <= max(done.latencies) < done.seconds


def test_a_client_that_does_not_start_is_an_error() -> None:
    with (
        Client("no address") as client,
        pytest.raises(RuntimeError, match="a client did not start; it said ''"),
    ):
        client.wait_until_ready()


def test_a_session_prints_the_figures_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "WARM_UP", 0.05)
    setting = {"workers": 1, "in_flight": 10, "size": 0, "clients": 2}
    session.main("load", {"setting": setting, "seconds": 0.2, "by_one": True})
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"alone", "loaded"}
    for figures in found.values():
        assert figures["calls"] >= 2
        assert 0 < figures["p50"] <= figures["p99"]
        assert figures["processes"] == {"client": 2, "child": 1}
        assert figures["received"] > 0
        assert costs(figures)["client"] > 0
    assert found["alone"]["commands"] >= 8 * found["alone"]["calls"]


def test_a_cluster_that_does_nothing_has_connections(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(standing, "SETTLES", 0.1)
    session.main("standing", {"setting": vars(StandingSetting(2, 1, 2)), "seconds": 0.5})
    found = json.loads(capsys.readouterr().out)
    # A main process has several, a child process and a client at least one.
    assert found["connections"] >= 2 * 2 + 2 + 2
    assert found["commands"] >= 0


def test_messages_are_looked_for_in_a_queue(capsys: pytest.CaptureFixture[str]) -> None:
    session.main("search", {"messages": 200})
    found = json.loads(capsys.readouterr().out)
    assert found["messages"] == 200
    assert found["microseconds"] > 0
    assert found["ask"] > 0
    assert 1 < found["most"] == 2_000_000 // found["bytes"]
