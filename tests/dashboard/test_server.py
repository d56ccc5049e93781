"""The web server of a dashboard, over real connections."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from distribute_challenge import LocalCluster
from distribute_challenge.dashboard import serving
from distribute_challenge.dashboard.serving import listen, serve
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import WATCHED
from distribute_challenge.security import SECRET_FILE
from tests.dashboard.calls import square
from tests.optional import needed
from tests.processes import PATIENCE, wait_until

needed("starlette")
needed("uvicorn")

pytestmark = [pytest.mark.celery, pytest.mark.slow]

TOKEN = "the-token"


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


class Site(NamedTuple):
    """A dashboard that is served."""

    port: int

    def get(self, path: str, *, host: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        own = {"Host": host or f"127.0.0.1:{self.port}"}
        connection.request("GET", path, headers={**own, **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Answer(answer.status, text, {k.lower(): v for k, v in answer.getheaders()})

    def data(self, path: str) -> Answer:
        return self.get(path, Authorization=f"Bearer {TOKEN}")


@contextmanager
def served(url: str) -> Iterator[Site]:
    listening, until = listen("127.0.0.1", 0), threading.Event()
    port = listening.getsockname()[1]
    thread = threading.Thread(target=serve, args=(url, listening, TOKEN, ["my.host"], until))
    thread.start()
    try:
        yield Site(port)
    finally:
        until.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def site(cluster: LocalCluster) -> Iterator[Site]:
    square(2).compute()
    with served(cluster.broker_url) as made:
        yield made


@pytest.mark.parametrize("path", ["/", "/api/snapshot", "/api/backlog", "/metrics"])
def test_requests_without_the_token_are_refused(site: Site, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer other"},
        {"Authorization": "Basic the-token"},
        {"Authorization": "Bearer \xfc"},
    ):
        answer = site.get(path, **headers)
        assert answer.status == 403
        assert answer.text.startswith("the token is missing or wrong")
    assert site.get(f"{path}?token=other").status == 403
    assert site.get(f"{path}?token={TOKEN}").status == 200
    assert site.data(path).status == 200


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost:1", True),
        ("LOCALHOST", True),
        ("192.168.0.7:8787", True),
        ("[::1]:8787", True),
        ("[::1]", True),
        ("my.host", True),
        ("other.example:8787", False),
        ("127.0.0.1.example", False),
        (":8787", False),
    ],
)
def test_requests_with_the_host_name_of_another_site_are_refused(
    site: Site, host: str, is_own: bool
) -> None:
    """Its own name could lead to this address, and its page would then be one of this server."""
    answer = site.get(f"/api/backlog?token={TOKEN}", host=host)
    assert answer.status == (200 if is_own else 421)
    assert site.get("/page.js", host=host).status == answer.status


def test_answers_forbid_what_the_page_does_not_need(site: Site) -> None:
    for path in ("/", "/page.js", "/page.css", "/metrics", "/api/snapshot"):
        headers = site.data(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_the_page_loads_scripts_and_styles_only_from_this_server(site: Site) -> None:
    page = site.data("/").text
    assert 'src="page.js"' in page
    assert 'href="page.css"' in page
    for path in ("/", "/page.js", "/page.css"):
        text = site.data(path).text.replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("://", "") or "http" not in text
        assert "innerHTML" not in text


def test_methods_other_than_get_are_refused(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE"):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
        connection.request(method, f"/api/snapshot?token={TOKEN}")
        assert connection.getresponse().status == 405
        connection.close()


def test_answers_do_not_contain_the_secret_of_the_cluster(
    site: Site, cluster: LocalCluster
) -> None:
    secret = (cluster.log_file.parent / SECRET_FILE).read_text()
    for path in ("/", "/page.js", "/page.css", "/metrics", "/api/snapshot", "/api/backlog"):
        answer = site.data(path)
        assert answer.status == 200
        assert secret not in answer.text + str(answer.headers)


def test_requests_for_the_backlog_do_not_start_watching_the_cluster() -> None:
    with (
        LocalCluster(workers=2) as cluster,
        connect(cluster.broker_url) as connection,
        served(cluster.broker_url) as site,
    ):
        wait_until(lambda: json.loads(site.data("/api/backlog").text)["processes"] == 2)
        found = json.loads(site.data("/api/backlog").text)
        assert not connection.exists(WATCHED)
        assert found == {
            "unfinished_calls": 0,
            "detached_calls": 0,
            "workers": 1,
            "processes": 2,
            "clients": 0,
            "queues": {
                "distribute_challenge": {"unfinished_calls": 0, "messages": 0, "processes": 2}
            },
        }
        content = json.loads(site.data("/api/snapshot").text)
        assert content["totals"]["processes"] == 2
        assert connection.exists(WATCHED)
        metrics = site.data("/metrics")
        assert "\ndistribute_challenge_processes 2\n" in metrics.text
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        connection.delete(WATCHED)  # Without further requests, it watches on.
        wait_until(lambda: connection.exists(WATCHED), "another look")


def test_a_redis_that_is_gone_is_answered_with_status_503_and_a_text() -> None:
    """As text, without a password; the server goes on."""
    with LocalCluster(workers=1) as cluster, served(cluster.broker_url) as site:
        assert site.data("/api/snapshot").status == 200
        cluster.close()
        wait_until(lambda: site.data("/api/snapshot").status == 503)
        answer = site.data("/api/backlog")
        assert answer.status == 503
        assert answer.text.startswith("no Redis answers at ")


def test_the_shown_address_can_be_opened() -> None:
    """A socket that listens everywhere is shown with an address of this machine."""
    for host, shown in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")):
        with listen(host, 0) as listening:
            port = listening.getsockname()[1]
            assert serving.address(listening, "t") == f"http://{shown}:{port}/?token=t"
