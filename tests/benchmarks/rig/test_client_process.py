"""A program that is a client, and what can happen to it."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.rig import calls
from benchmarks.rig.client_process import ClientProcess
from distribute_challenge.errors import ClusterStartError
from tests.processes import PATIENCE

Start = Callable[[str], ClientProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started = []

    def begin(source: str) -> ClientProcess:
        started.append(
            ClientProcess(
                ["-c", source], output=tmp_path / "client.log", environment={"WORD": "hello"}
            )
        )
        return started[-1]

    yield begin
    for client in started:
        client.close()


def test_the_output_and_the_exit_code_of_a_client_can_be_waited_for(start: Start) -> None:
    client = start("import os; print(os.environ['WORD']); raise SystemExit(3)")
    client.wait_for("hello", within=PATIENCE)
    assert client.wait(within=PATIENCE) == 3
    assert client.output == "hello\n"


def test_a_client_process_imports_the_calls_of_this_checkout_from_any_folder(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    client = start("from benchmarks.rig import calls; print(calls.__file__)")
    assert client.wait(within=PATIENCE) == 0
    assert client.output == f"{calls.__file__}\n"


def test_interrupt_raises_keyboard_interrupt_in_the_client_process(start: Start) -> None:
    client = start("import time; print('ready'); time.sleep(100)")
    client.wait_for("ready", within=PATIENCE)
    client.interrupt()
    assert client.wait(within=PATIENCE) != 0
    assert "KeyboardInterrupt" in client.output


def test_kill_ends_the_client_process_with_sigkill(start: Start) -> None:
    client = start("import time; print('ready'); time.sleep(100)")
    client.wait_for("ready", within=PATIENCE)
    assert client.pid > 0
    client.kill()
    assert client.wait(within=PATIENCE) == -signal.SIGKILL


def test_wait_for_raises_if_the_client_does_not_write_the_text(start: Start) -> None:
    with pytest.raises(
        ClusterStartError, match=r"did not write 'hello' \(exit code 0\).*\n    goodbye"
    ):
        start("print('goodbye')").wait_for("hello", within=PATIENCE)
    with pytest.raises(ClusterStartError, match=r"did not write 'hello' \(exit code None\)"):
        start("import time; time.sleep(100)").wait_for("hello", within=0.01)
