"""Clients that are killed or interrupted and what they leave, and clients that come back."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.rig.calls import answer
from benchmarks.rig.client_process import ClientProcess
from benchmarks.rig.rig import Rig
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, FREED, GONE, LONG, Load
from tests.processes import environment, mentioning, wait_until

pytestmark = pytest.mark.slow

STARTED = 60.0  # Seconds for a client to get anywhere; it takes one.

# From before it has imported anything, over the start of its cluster, into the middle of its calls.
_random = random.Random(5)
PHASES = [round(_random.uniform(0.05, 3.0), 2) for _ in range(50 if LONG else 10)]

EMBEDDED = """
import time
from distribute_challenge import compute_this

@compute_this
def double(data, seconds):
    time.sleep(seconds)
    return data + data

print("starts", flush=True)
while True:
    # Large enough for shared memory, both ways.
    futures = [double(bytes(2_000_000), 0.02).submit() for _ in range(10)]
    for future in futures:
        future.result()
    list(double.map([b"small"] * 50, [0.001] * 50))
"""

ON_A_CLUSTER = """
import sys
from benchmarks.rig.calls import work

diary, calls, seconds, detached = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
plain = [work(diary, f"plain-{number}", seconds, "value").submit() for number in range(calls)]
kept = [work(diary, f"detached-{number}", 0.0, "value").submit(detach=True) for number in range(detached)]
for future in kept:
    print("id", future.id, flush=True)
print("submitted", flush=True)
for future in plain:
    future.result()
print("done", flush=True)
"""

ATTACHING = """
import sys
from distribute_challenge import attach

for number, name in enumerate(sys.argv[1:]):
    print(attach(name).result(60), flush=True)
"""

Start = Callable[..., ClientProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a script with arguments and variables."""
    started: list[ClientProcess] = []

    def begin(source: str, *arguments: str, **variables: str) -> ClientProcess:
        script = tmp_path / "client" / f"script{len(started)}.py"
        script.parent.mkdir(exist_ok=True)
        script.write_text(source)
        client = ClientProcess(
            [str(script), *arguments],
            output=script.with_suffix(".log"),
            environment=environment(**variables),
        )
        started.append(client)
        return client

    yield begin
    for client in started:
        client.close()


def on_rig(
    start: Start, rig: Rig, calls: int, seconds: float, *, detached: int = 0
) -> ClientProcess:
    """A client of a rig that has submitted so many calls."""
    arguments = (str(rig.diary.folder), str(calls), str(seconds), str(detached))
    client = start(ON_A_CLUSTER, *arguments, **rig.client_environment)
    client.wait_for("submitted", within=STARTED)
    return client


def runs_of(load: Load, kind: str) -> int:
    return sum(call.startswith(kind) for call in load.runs())


@pytest.mark.parametrize("phase", PHASES)
def test_nothing_is_left_of_a_killed_client_with_a_cluster_of_its_own(
    start: Start, tmp_path: Path, phase: float
) -> None:
    temporary, shared = tmp_path / "temporary", tmp_path / "shared"
    temporary.mkdir()
    shared.mkdir()
    variables = {"TMPDIR": str(temporary), "DISTRIBUTE_CHALLENGE_SHARED_FOLDER": str(shared)}
    client = start(EMBEDDED, **variables)
    time.sleep(phase)  # Not to wait for something, but to kill at an arbitrary time.
    client.kill()
    wait_until(
        lambda: not mentioning(temporary) and not mentioning(tmp_path / "client"),
        "the end of all processes",
    )
    wait_until(
        lambda: not list(temporary.iterdir()), "the end of all sockets and temporary folders"
    )
    wait_until(lambda: not list(shared.iterdir()), "the end of all shared memory")


@pytest.mark.deadline(150)
def test_calls_of_a_killed_client_are_dropped_unless_they_are_detached(
    make: Make, start: Start
) -> None:
    """A cluster of several clients drops them when the client's lease ends."""
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    # Twice as many as can run before the client is taken for gone.
    calls = round(2 * (GONE + BUSY))
    client = on_rig(start, rig, calls, 1.0, detached=3)
    load.wait_for_begin()
    client.kill()
    wait_until(
        lambda: runs_of(load, "detached") == 3,
        "the run of all detached calls",
        within=GONE + BUSY + 5,
    )
    plain = runs_of(load, "plain")
    assert plain < calls
    # What is behind those that were dropped comes first now, and nothing of them comes later.
    load.submit(1)
    load.gives_right_values(within=60)
    assert runs_of(load, "plain") == plain


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_the_result_of_a_detached_call_is_given_to_another_process(
    make: Make, start: Start, killed: bool
) -> None:
    rig, _ = make(workers=1)
    client = on_rig(start, rig, 0, 0.0, detached=3)
    if killed:
        client.kill()
    else:
        assert client.wait(within=STARTED) == 0
    ids = [line.partition(" ")[2] for line in client.output.splitlines() if line.startswith("id ")]
    assert len(set(ids)) == 3
    for _ in range(2):  # Attaching does not take the result away.
        back = start(ATTACHING, *ids, **rig.client_environment)
        assert back.wait(within=STARTED) == 0, back.output
        assert back.output.split() == [answer(f"detached-{number}") for number in range(3)]


@pytest.mark.parametrize("own", [False, True], ids=["shared cluster", "embedded cluster"])
def test_an_interrupted_client_returns_at_once_and_takes_its_calls_back(
    make: Make, start: Start, tmp_path: Path, own: bool
) -> None:
    rig, backend = make(workers=1)
    load = Load(rig, backend)
    if own:
        arguments = (str(rig.diary.folder), "50", "1.0", "0")
        client = start(
            ON_A_CLUSTER, *arguments, DISTRIBUTE_CHALLENGE_WORKERS="1", TMPDIR=str(tmp_path)
        )
        client.wait_for("submitted", within=STARTED)
    else:
        client = on_rig(start, rig, 50, 1.0)
    load.wait_for_begin()
    begun = time.monotonic()
    client.interrupt()
    code = client.wait(within=STARTED)
    assert time.monotonic() - begun < FREED + BUSY
    plain = runs_of(load, "plain")
    assert plain < 50
    assert code in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in client.output
    if not own:
        # Another client's call is next.
        load.submit(1)
        load.gives_right_values(within=1 + BUSY)
        assert runs_of(load, "plain") == plain
