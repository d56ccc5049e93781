"""The process of a peer, by its orders and answers."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.benchmarks.peers.fakes import RUN
from tests.benchmarks.sessions.asking import TOP, answers


@pytest.fixture
def session(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, *RUN, "hanging", "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=TOP,
        env={"PEERS_FOLDER": str(tmp_path), "PYTHONPATH": str(TOP)},
    ) as process:
        yield process
        process.kill()


def ask(session: "subprocess.Popen[str]", **order: Any) -> Any:
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(json.dumps(order) + "\n")
    session.stdin.flush()
    return json.loads(session.stdout.readline())


def test_a_session_answers_orders_until_it_is_told_to_stop(
    session: "subprocess.Popen[str]",
) -> None:
    before = time.time()
    assert before <= ask(session, do="start")["first_result"] <= time.time()
    answer = ask(session, do="round_trip", seconds=0.01)
    assert answer["figures"]["round_trip_calls"] >= 200
    assert answer["facts"]["title"] == "Hanging"
    ask(session, do="stop")
    assert session.wait(60) == 0


def test_a_session_ends_when_its_runner_ends_and_leaves_nothing(
    session: "subprocess.Popen[str]",
    eventually: Callable[[Callable[[], bool]], None],
    tmp_path: Path,
) -> None:
    """It ends while the peer hangs, too."""
    ask(session, do="start")
    programs = psutil.Process(session.pid).children(recursive=True)
    assert programs
    assert session.stdin is not None
    session.stdin.write(json.dumps({"do": "submit_and_gather", "seconds": 1}) + "\n")
    session.stdin.close()
    assert session.wait(60) == 1
    eventually(lambda: not any(program.is_running() for program in programs))
    assert not tmp_path.exists()


@pytest.mark.slow
def test_the_library_over_tcp_needs_no_preparation(tmp_path: Path) -> None:
    """The session makes the secret itself."""
    started, _ = answers("benchmarks.peers.session", "distribute_challenge_tcp", 1, [], tmp_path)
    assert started.get("first_result")
