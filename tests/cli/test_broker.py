"""What all commands say of a broker that cannot be used."""

import socket
import time

import pytest
from click.testing import CliRunner

from distribute_challenge.cli import main
from tests.cli.conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("clean_environment")


def complaint(command: str, *arguments: str) -> str:
    done = CliRunner().invoke(main, [command, *arguments])
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)  # No traceback.
    return done.output


@pytest.mark.parametrize("command", ["worker", "status", "ping"])
def test_without_a_broker_the_error_says_how_to_configure_one(command: str) -> None:
    output = complaint(command)
    assert (
        "no broker is configured: give --broker redis://HOST:6379, or set CELERY_BROKER_URL"
        in output
    )
    assert "'distribute-challenge cluster' starts one" in output


@pytest.mark.parametrize("command", ["worker", "status", "ping"])
def test_an_unreachable_broker_is_an_error_message_without_the_password(
    command: str,
) -> None:
    output = complaint(command, "--broker", "redis://user:hunter2@127.0.0.1:1/0")
    assert output.startswith("Error: no Redis answers at redis://user:***@127.0.0.1:1/0 (")
    assert "check that the server runs" in output
    assert "hunter2" not in output


def test_a_wrong_password_is_named_as_such_and_not_shown(server: str) -> None:
    output = complaint("status", "--broker", server.replace(PASSWORD, "hunter3"))
    assert "refused the login" in output
    assert "hunter3" not in output


def test_a_broker_url_with_another_scheme_is_an_error_that_shows_the_right_form(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    clean_environment.setenv("CELERY_BROKER_URL", "amqp://guest:hunter2@localhost")
    output = complaint("status")
    assert "write it as redis://host:6379/0" in output
    assert "hunter2" not in output


@pytest.mark.slow
def test_a_broker_that_takes_the_connection_and_never_answers_is_an_error_soon() -> None:
    """A server that hangs, or another program on that port."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        output = complaint(
            "worker", "--broker", f"redis://:hunter2@127.0.0.1:{silent.getsockname()[1]}"
        )
        assert time.monotonic() - begun < 30
    assert "no Redis answers at redis://:***@127.0.0.1" in output


def test_the_broker_option_takes_precedence_over_the_environment(
    server: str, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1")
    done = CliRunner().invoke(main, ["status", "--broker", f"{server}/9"])
    assert done.exit_code == 0
    assert done.output.startswith("broker redis://:***@127.0.0.1:")
