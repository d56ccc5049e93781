"""The client's orders, on a system of this process."""

import json
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.adapters.base import Adapter
from benchmarks.faults.client import Client
from benchmarks.faults.found import outcomes


class AtOnce(Adapter):
    """Runs a call when it is asked whether it is done."""

    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        if arguments[1] == 13:
            raise ConnectionError("no process answers")
        return function, arguments

    def is_done(self, call: Any) -> bool:
        if call[1][1] == 14:
            raise ConnectionError("not now")
        return bool(call[1][1] != 15)

    def result(self, call: Any) -> int:
        if call[1][1] == 16:
            raise CancelledError
        return int(call[0](*call[1]))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.jsonl"


@pytest.fixture
def client(file: Path) -> Client:
    return Client(AtOnce(), file)


def submit(client: Client, tmp_path: Path, *numbers: int) -> dict[str, Any]:
    calls = [[number, "work", [str(tmp_path), number]] for number in numbers]
    return client.obey(json.loads(json.dumps({"do": "submit", "calls": calls})))


def test_the_outcome_of_an_ended_call_is_written_once(
    client: Client, file: Path, tmp_path: Path
) -> None:
    assert submit(client, tmp_path, 1, 2) == {}
    client.look()
    client.look()
    assert {number: outcome["value"] for number, outcome in outcomes(file).items()} == {1: 1, 2: 2}
    assert len(file.read_text().splitlines()) == 2


def test_a_call_that_cannot_be_submitted_has_failed(
    client: Client, file: Path, tmp_path: Path
) -> None:
    submit(client, tmp_path, 13)
    assert outcomes(file)[13]["error"] == "ConnectionError"
    assert outcomes(file)[13]["text"] == "no process answers"


def test_an_error_of_asking_for_an_outcome_is_not_the_outcome_of_the_call(
    client: Client, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(client, tmp_path, 14, 15)
    client.look()
    assert outcomes(file) == {}
    assert "call 14: ConnectionError('not now')" in capsys.readouterr().err


def test_a_cancelled_call_has_an_outcome(client: Client, file: Path, tmp_path: Path) -> None:
    submit(client, tmp_path, 16)
    client.look()
    assert outcomes(file)[16]["error"] == "CancelledError"


def test_an_unsupported_order_is_answered_with_the_reason(client: Client, tmp_path: Path) -> None:
    submit(client, tmp_path, 1)
    assert client.obey({"do": "cancel", "number": 1}) == {"absent": "cannot cancel a call"}
    gone = {"absent": "calls end with the client that made them"}
    assert client.obey({"do": "submit_detached", "calls": [[1, "work", []]]}) == gone
    assert client.obey({"do": "attach", "names": {"1": "name"}}) == gone
