"""The page of a dashboard in a real Chromium."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.dashboard.chromium import Chromium
from distribute_challenge import LocalCluster, Queue
from distribute_challenge.dashboard.lanes import MOST_LANES
from distribute_challenge.errors import WorkerLostError
from distribute_challenge.execution_backends.celery.broker import presence, reports
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from tests.dashboard.calls import die, refuse, square, total, wait
from tests.dashboard.chromium import browser
from tests.dashboard.reports import message, process, worker
from tests.optional import needed
from tests.processes import wait_until
from tests.secret import SECRET
from tests.workers import start_worker

needed("uvicorn")

pytestmark = [pytest.mark.celery, pytest.mark.slow]


@pytest.fixture(scope="module")
def page() -> Iterator[Chromium]:
    with browser() as opened:
        yield opened


@pytest.fixture
def cluster(page: Chromium) -> Iterator[LocalCluster]:
    """A cluster whose page is open, and has figures."""
    with LocalCluster(workers=2, dashboard=True) as started:
        square(2).compute()
        page.open(str(started.dashboard_url))
        until(page, "#status", "live")
        until(page, "#tiles", "0 of 2")
        until(page, "#workers", "0 of 2")
        yield started


def until(page: Chromium, selector: str, text: str) -> None:
    """Wait until a part of the page shows a text, with any white space between its words."""
    wait_until(lambda: text in " ".join(page.text(selector).split()), f"{text!r} in {selector}")


def test_a_running_study_is_shown(cluster: LocalCluster, page: Chromium, tmp_path: Path) -> None:
    """The page asks this server alone, and has no error."""
    page.requests.clear()
    path = tmp_path / "go"
    calls = [wait(path).submit() for _ in range(30)]
    try:
        until(page, "#tiles", "2 of 2")
        until(page, "#functions", "wait 0 of 30")
        until(page, "#legend", "wait")
        wait_until(lambda: page.run("document.querySelectorAll('#stream .running').length") == 2)
        assert page.text("#queues").count("distribute_challenge") == 1
    finally:
        path.touch()
    assert [call.result() for call in calls] == ["done"] * 30
    until(page, "#functions", "wait 30 of 30")
    results = square.map(range(100_000), batch_size=10)
    next(results)
    until(page, "#maps", "10 of 100,000")
    results.close()
    until(page, "#maps", "over")
    assert "no graph since" in page.text("#graphs")
    path.unlink()
    future = total([wait(path), square(2), square(3)]).submit()
    try:
        until(page, "#graphs", "total 2 of 4, 1 out, for")
    finally:
        path.touch()
    assert future.result() == 3
    until(page, "#graphs", "total 4 of 4, over after")
    with pytest.raises(ValueError, match="no 1"):
        total([refuse(1)]).submit().result()
    until(page, "#graphs", "total 2 calls, failed, over after")
    assert page.run("document.querySelector('#item-queues-section').hidden")
    jobs: Queue[int] = Queue("<b>jobs</b>", maxsize=10, backend=cluster.backend)
    jobs.put(1)
    until(page, "#item-queues", "<b>jobs</b> 1 1 0 10")
    jobs.delete()
    until(page, "#throughput", "now")
    assert page.errors == []
    assert cluster.dashboard_url is not None
    origin = cluster.dashboard_url.partition("?")[0]
    assert {request.startswith(origin) for request in page.requests} == {True}


@pytest.mark.usefixtures("cluster")
def test_failures_are_shown_as_text_with_their_tracebacks(page: Chromium) -> None:
    """An error's text is no markup. A failure that was opened stays open."""
    with pytest.raises(ValueError, match="no 3"):
        refuse(3).submit().result()
    until(page, "#failures", "ValueError: <b>no 3</b>")
    assert page.run("document.querySelector('#failures b b')") is None
    page.run("document.querySelector('#failures details').open = true")
    until(page, "#failures pre", 'raise ValueError(f"<b>no {x}</b>")')
    with pytest.raises(WorkerLostError):
        die().submit().result()
    until(page, "#failures", "the worker process died")
    until(page, "#legend", "failed or lost")
    opened = "Array.from(document.querySelectorAll('#failures details'), each => each.open)"
    assert page.run(opened) == [False, True]
    assert page.run("document.querySelectorAll('#stream .failed, #stream .lost').length") >= 2


def test_a_worker_that_was_killed_is_shown_as_such(
    cluster: LocalCluster, page: Chromium, tmp_path: Path
) -> None:
    with start_worker(cluster.broker_url, tmp_path, name="killed") as extra:
        until(page, "#workers", "killed@")
        until(page, "#tiles", "0 of 3")
        extra.process.kill()
        until(page, "#workers", "lost")
    until(page, "#tiles", "0 of 2")


def test_the_page_says_if_the_dashboard_has_ended(page: Chromium) -> None:
    with LocalCluster(workers=1, dashboard=True) as cluster:
        page.open(str(cluster.dashboard_url))
        until(page, "#status", "live")
    until(page, "#status", "the dashboard has ended")


@pytest.mark.usefixtures("cluster")
def test_an_address_without_the_token_shows_that_the_token_is_missing(
    cluster: LocalCluster, page: Chromium
) -> None:
    page.open(str(cluster.dashboard_url).partition("?")[0])
    until(page, "body", "the token is missing or wrong")
    page.errors.clear()


def test_a_cluster_of_64_workers_is_readable(cluster: LocalCluster, page: Chromium) -> None:
    """With 20,000 messages: one row for each worker."""
    with connect(cluster.broker_url) as connection:
        now = connection.clock.ask(connection)
        for number in range(64):
            name = f"node{number:02}@cluster"
            presence.show(connection, WorkerPresence(name, 4, ["distribute_challenge"]))
            ended = [
                message(now - 50 + step / 2, 0.3, f"function{step % 9}", pid)
                for step in range(80)
                for pid in range(4)
            ]
            report = worker(name, ended=ended, processes=[process(pid) for pid in range(4)])
            reports.report(connection, replace(report, seen=now))
    until(page, "#stream-range", "by worker")
    wait_until(
        lambda: (
            page.run("document.querySelectorAll('#stream text:not([text-anchor])').length")
            == MOST_LANES
        )
    )
    until(page, "#stream-more", "and 1 more rows")
    until(page, "#tiles", "of 258")
    until(page, "#workers", "node63@cluster")
    size = "fetch('api/snapshot' + location.search).then(a => a.text()).then(t => window.size = t.length)"
    page.run(f"void {size}")
    wait_until(lambda: page.run("window.size"))
    assert page.run("window.size") < 200_000
    assert page.run("document.querySelectorAll('*').length") < 10_000
    assert page.errors == []


def test_the_secret_is_not_on_the_page(cluster: LocalCluster, page: Chromium) -> None:
    secret = (cluster.log_file.parent / "secret").read_text()
    text = json.dumps(page.run("document.documentElement.outerHTML"))
    assert secret not in text
    assert SECRET not in text
