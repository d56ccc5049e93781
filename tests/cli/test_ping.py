"""``ping`` succeeds if the workers that it asks answer."""

import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from distribute_challenge.cli import main
from tests.cli.conftest import COMMAND, host
from tests.fuzz.forger import answer, forging
from tests.processes import PATIENCE, Program, environment

pytestmark = pytest.mark.celery


def ping(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["ping", "--broker", url, *arguments])


@pytest.mark.slow
@pytest.mark.usefixtures("first", "second")
def test_all_workers_answer_with_the_time_they_took(broker: str) -> None:
    done = ping(broker, "--timeout", str(PATIENCE))
    assert done.exit_code == 0, done.output
    names, rest = zip(*(line.split(" ", 1) for line in done.output.splitlines()), strict=True)
    assert sorted(names) == [host("first"), host("second")]
    for text in rest:
        assert text.startswith("answered in ")
        assert 0 < float(text.removeprefix("answered in ").removesuffix(" ms")) < 1000 * PATIENCE


@pytest.mark.usefixtures("first", "second")
@pytest.mark.parametrize(
    "names", [["first"], [host("first")], ["first", host("first")]], ids=["short", "full", "both"]
)
def test_only_named_workers_are_pinged_and_short_names_mean_this_machine(
    broker: str, names: list[str]
) -> None:
    done = ping(broker, "--timeout", str(PATIENCE), *names)
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines()] == [host("first")]


@pytest.mark.usefixtures("first")
def test_a_named_worker_that_does_not_answer_is_a_failure_that_names_the_worker(
    broker: str,
) -> None:
    done = ping(broker, "--timeout", "0.3", "first", "third", "fourth@elsewhere")
    assert done.exit_code == 1
    assert f"{host('first')} answered in" in done.output
    assert f"Error: no answer within 0.3 s from {host('third')}, fourth@elsewhere\n" in done.output


def test_a_cluster_without_workers_is_a_failure(server: str) -> None:
    done = ping(f"{server}/8", "--timeout", "0.1")
    assert done.exit_code == 1
    assert "Error: no worker answered within 0.1 s at redis://:***@127.0.0.1:" in done.output


def test_forged_answers_are_counted_and_control_characters_in_names_are_escaped(
    server: str,
) -> None:
    """Answers are not signed."""
    forged = [answer({"w\x1b[2J\n@h": {"ok": "pong"}}), b"nonsense", answer({"w@h": {"ok": 1}})]
    with forging(f"{server}/8", lambda: forged):
        done = ping(f"{server}/8", "--timeout", str(PATIENCE))
    assert done.exit_code == 0
    assert done.stdout.startswith(r"w\x1b[2J\n@h answered in ")
    assert done.stderr == (
        "left out: 2 answers that no worker gives: 1 without a pong, 1 not in the form that Celery "
        "gives to answers\n"
    )


def test_a_timeout_of_zero_is_refused() -> None:
    assert ping("redis://127.0.0.1:1", "--timeout", "0").exit_code == 2


def test_a_broker_that_goes_away_meanwhile_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "distribute_challenge.cli.ping.checked_broker", str
    )  # It was there a moment ago.
    done = ping("redis://:hunter2@127.0.0.1:1")
    assert done.exit_code == 1
    assert done.output.startswith("Error: no Redis answers at redis://:***@127.0.0.1:1 (")


@pytest.mark.slow
def test_ping_loads_neither_celery_nor_kombu(server: str) -> None:
    """A health check in every container loads neither Celery nor kombu, nor what only calls need."""
    program = (
        "import sys\nfrom distribute_challenge.cli import main\n"
        f"main(['ping', '--broker', '{server}/8', '--timeout', '0.1'], standalone_mode=False)"
    )
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in done.stderr.splitlines()
        if "|" in line
    }
    assert {"redis", "click"} <= loaded
    assert not loaded & {"celery", "kombu", "billiard", "numpy", "loky"}


@pytest.mark.slow
def test_ping_runs_as_an_installed_command(broker: str, first: Program) -> None:
    done = subprocess.run(
        [*COMMAND, "ping", "first"],
        env=environment(CELERY_BROKER_URL=broker),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{host('first')} answered in ")
    assert first.process.poll() is None
