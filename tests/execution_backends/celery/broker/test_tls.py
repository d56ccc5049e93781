"""All of the library connects to a Redis with TLS that asks its clients for certificates."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from kombu.exceptions import OperationalError

from distribute_challenge import compute_this
from distribute_challenge.cli import main
from distribute_challenge.errors import BrokerUnreachableError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import check_reachable
from distribute_challenge.execution_backends.celery.broker.control import active
from distribute_challenge.execution_backends.celery.broker.tls import complaint
from distribute_challenge.execution_backends.celery.worker.app import make_app
from distribute_challenge.security import new_secret
from tests.certificates import Authority
from tests.cli.conftest import COMMAND, host
from tests.docker_engine import docker, free_port
from tests.processes import PATIENCE, Program, program, wait_until


class TlsServer:
    """A container of Redis that accepts only TLS, and only certificates of its authority.

    Args:
        folder: For its certificates and for others'.
    """

    def __init__(self, folder: Path) -> None:
        self.authority, self.stranger = Authority(folder / "own"), Authority(folder / "other")
        self.client, self.key = self.authority.certify("client")
        self.other_client, self.other_key = self.stranger.certify("client")
        self.authority.certify("redis")  # For localhost by its name, not by its number.
        self.port, self.name = free_port(), f"distribute_challenge_test_{uuid.uuid4().hex[:12]}"
        files = {"cert-file": "redis.crt", "key-file": "redis.key", "ca-cert-file": "ca.crt"}
        docker(
            *("run", "--detach", "--name", self.name, "--publish", f"127.0.0.1:{self.port}:6380"),
            *("--volume", f"{folder / 'own'}:/certificates:ro", "redis:7", "redis-server"),
            *(
                "--bind",
                "0.0.0.0",
                "--protected-mode",
                "no",
                "--port",
                "0",
                "--tls-port",
                "6380",
                "--save",
                "",
            ),
            *("--tls-auth-clients", "yes"),
            *(
                word
                for option, file in files.items()
                for word in (f"--tls-{option}", f"/certificates/{file}")
            ),
        )

    def url(self, **changes: Path | str | None) -> str:
        """Its address, with all that has to be in it; without what is None."""
        query = {
            "ssl_ca_certs": self.authority.certificate,
            "ssl_certfile": self.client,
            "ssl_keyfile": self.key,
            **changes,
        }
        address = query.pop("address", "localhost")
        text = urlencode({name: value for name, value in query.items() if value is not None})
        return f"rediss://{address}:{self.port}/0" + (f"?{text}" if text else "")

    def close(self) -> None:
        docker("rm", "--force", "--volumes", self.name)


@pytest.fixture(scope="module")
def secret() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_SECRET", new_secret())
        yield


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    server = TlsServer(tmp_path_factory.mktemp("tls"))

    def answers() -> bool:
        try:
            check_reachable(server.url())
        except BrokerUnreachableError:
            return False
        return True

    try:
        wait_until(answers, "the server's start")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def worker(
    tls: TlsServer, secret: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """A worker that finds its broker and certificates in the environment."""
    command = [*COMMAND, "worker", "--concurrency", "1", "--name", "tls"]
    with program(
        command, tmp_path_factory.mktemp("worker"), CELERY_BROKER_URL=tls.url()
    ) as running:
        yield running


@pytest.mark.slow
@pytest.mark.docker
def test_client_worker_and_commands_connect_over_tls(
    tls: TlsServer, worker: Program, tmp_path: Path
) -> None:
    """Client, worker, `ping`, `status` and Celery's remote control, each in its own way to connect."""

    @compute_this
    def where() -> int:
        return os.getppid()

    with CeleryExecutionBackend(tls.url()) as backend:
        assert where().compute(backend, timeout=PATIENCE) == worker.process.pid
        assert [
            future.result(PATIENCE) for future in [where().submit(backend) for _ in range(20)]
        ] == ([worker.process.pid] * 20)
    asked = CliRunner().invoke(
        main, ["ping", "--broker", tls.url(), "--timeout", str(PATIENCE), "tls"]
    )
    assert asked.exit_code == 0, asked.output
    assert asked.output.startswith(f"{host('tls')} answered in ")
    shown = CliRunner().invoke(main, ["status", "--broker", tls.url()])
    assert shown.exit_code == 0, shown.output
    assert host("tls") in shown.output
    wait_until(lambda: list(active(tls.url())) == [host("tls")], "an answer to remote control")


@pytest.mark.docker
@pytest.mark.parametrize("check", ["required", "CERT_REQUIRED", "optional", "none", "CERT_NONE"])
def test_certificate_options_of_celery_and_of_redis_py_are_understood(
    check: str, tls: TlsServer
) -> None:
    url = tls.url(ssl_cert_reqs=check)
    check_reachable(url)
    with make_app(url).connection_for_read() as connection:
        assert connection.default_channel.client.ping()


@pytest.mark.docker
@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        pytest.param(
            {"ssl_ca_certs": "stranger"},
            "is not signed by an authority that is known here",
            id="another authority",
        ),
        pytest.param({"ssl_ca_certs": None}, r"name yours by \?ssl_ca_certs=", id="no authority"),
        pytest.param(
            {"ssl_certfile": None, "ssl_keyfile": None},
            r"wants to see a certificate[:,] add \?ssl_certfile=/path/client\.crt&ssl_keyfile=",
            id="no certificate",
        ),
        pytest.param(
            {"ssl_keyfile": "other_key"},
            "ssl_keyfile is not that of the certificate",
            id="another's key",
        ),
        pytest.param(
            {"ssl_ca_certs": "/no/where.crt"},
            r"the file /no/where\.crt, ssl_ca_certs in the URL, is not there",
            id="no file",
        ),
    ],
)
def test_tls_errors_of_clients_and_commands_say_what_to_do(
    changes: dict[str, str | None], advice: str, tls: TlsServer, secret: None
) -> None:
    real = {"stranger": tls.stranger.certificate, "other_key": tls.other_key}
    url = tls.url(**{name: real.get(str(value), value) for name, value in changes.items()})
    with (
        CeleryExecutionBackend(url) as backend,
        pytest.raises(BrokerUnreachableError, match=advice) as caught,
    ):
        compute_this(len)("abc").compute(backend)
    assert str(caught.value).startswith(f"no TLS connection to rediss://localhost:{tls.port}/0")
    for command in ("worker", "status", "ping"):
        done = CliRunner().invoke(main, [command, "--broker", url])
        assert done.exit_code == 1
        assert done.output.startswith("Error: no TLS connection to ")


@pytest.mark.docker
def test_a_certificate_of_another_authority_is_not_accepted(tls: TlsServer) -> None:
    url = tls.url(ssl_certfile=tls.other_client, ssl_keyfile=tls.other_key)
    with pytest.raises(BrokerUnreachableError):
        check_reachable(url)


@pytest.mark.docker
def test_a_certificate_for_another_host_is_not_accepted(tls: TlsServer) -> None:
    """The server is the same, but its certificate does not have the name in the URL."""
    with pytest.raises(BrokerUnreachableError, match="certificate is for another host"):
        check_reachable(tls.url(address="127.0.0.1"))


@pytest.mark.docker
def test_a_worker_checks_the_server_also_where_the_url_says_nothing_of_it(tls: TlsServer) -> None:
    """kombu by itself would take any program for the server."""
    url = tls.url(ssl_ca_certs=None, ssl_certfile=None, ssl_keyfile=None)
    with (
        make_app(url).connection_for_read() as connection,
        pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        connection.ensure_connection(max_retries=1, interval_start=0)


def test_a_server_without_tls_is_recognised() -> None:
    advice = complaint("rediss://localhost", "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    assert str(advice).startswith("the server speaks no TLS at this port")


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the kernel's answer is made up."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    url = f"rediss://localhost?ssl_keyfile={tmp_path}"
    assert (
        complaint(url, "no")
        == f"the file {tmp_path}, ssl_keyfile in the URL, cannot be read by this user"
    )


def test_errors_without_a_tls_cause_get_no_advice_about_tls() -> None:
    """A client that shows a certificate misses none."""
    assert complaint("rediss://localhost", "Connection refused") is None
    assert complaint("redis://localhost", "Connection reset by peer") is None
    assert (
        complaint(f"rediss://localhost?ssl_certfile={__file__}", "Connection reset by peer") is None
    )
    assert "if it wants to see a certificate" in str(
        complaint("rediss://localhost", "Connection reset by peer")
    )
