"""What a run saw is the same after it was written and read."""

import csv
import json
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.recording import Calls, Plan, Run, Sample, Step, Usage
from distribute_challenge.core.timeline import Timeline
from distribute_challenge.errors import OptionError

PLAN = Plan(
    cluster="compose",
    workload="sleep",
    task_seconds=0.5,
    payload_bytes=10,
    min_workers=2,
    max_workers=9,
    step=3,
    runtime=30.0,
    warm_up=5.0,
)


def step(workers: int) -> Step:
    """Two calls on one worker, the second by a process that took the place of the first."""
    calls = Calls()
    calls.add(Timeline(1001.0, 1001.25, 1002.0, 1003.0, 1003.000001, "w@a/1"), epoch=1000.0)
    calls.add(Timeline(1002.0, 1002.25, 1003.0, 1004.0, 1004.5, "w@a/2"), epoch=1000.0)
    calls.workers = ["worker-1", "worker-1"]
    samples = [Sample(2.5, 3, 4, {"client": 3, "workers": 7}, {"worker-1": Usage(0.5, 2**20)})]
    return Step(workers, 1.5, 2.0, 4.0, calls, samples, {"ValueError: no": 2}, 1, complete=True)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = Run(PLAN, {"cores": 2, "system": "Linux"}, 1000.0, [step(2)], spins=7, scaled_back=2.5)
    loaded = Run.load(run.save(tmp_path / "new"))
    assert [loaded.plan, loaded.machine, loaded.epoch, loaded.spins, loaded.scaled_back] == [
        PLAN,
        {"cores": 2, "system": "Linux"},
        1000.0,
        7,
        2.5,
    ]
    (read,) = loaded.steps
    assert list(read.calls.received) == pytest.approx([3.000001, 4.5], abs=1e-7)
    assert read.calls.as_json() == step(2).calls.as_json()
    read.calls = step(2).calls
    written = step(2)
    written.calls = read.calls
    assert read == written


def test_calls_are_lines_of_a_table(tmp_path: Path) -> None:
    run = Run(PLAN, {}, 1000.0, [step(2), step(5)])
    with run.save_calls(tmp_path).open() as file:
        lines = list(csv.reader(file))
    assert lines[0] == [
        "workers",
        "created_us",
        "sent_us",
        "started_us",
        "finished_us",
        "received_us",
        "worker",
    ]
    assert lines[1] == ["2", "1000000", "1250000", "2000000", "3000000", "3000001", "worker-1"]
    assert [line[0] for line in lines[1:]] == ["2", "2", "5", "5"]


def test_a_step_takes_the_place_of_an_earlier_one_of_its_size() -> None:
    run = Run(PLAN, {}, 0.0)
    for number, size in enumerate([5, 2, 5]):
        run.put(Step(size, scaling=number))
    assert [(found.workers, found.scaling) for found in run.steps] == [(2, 1), (5, 2)]


def test_the_last_size_is_always_the_largest() -> None:
    assert PLAN.sizes == [2, 5, 8, 9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"cannot be read \(No such file or directory\): give the run\.json of a run"),
        ("{", r"is not JSON"),
        ("[]", r"has format None, expected 1"),
        (json.dumps({"format": 2}), r"has format 2, expected 1"),
    ],
)
def test_a_file_that_is_not_a_run_is_an_error_that_says_which_file_to_give(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OptionError, match=message):
        Run.load(path)


def test_a_run_that_cannot_be_written_leaves_the_earlier_one_whole(tmp_path: Path) -> None:
    path = Run(PLAN, {}, 0.0).save(tmp_path)
    before = path.read_text()
    with pytest.raises(TypeError):
        Run(PLAN, {"what": object()}, 0.0).save(tmp_path)  # type: ignore[dict-item]
    assert path.read_text() == before
