"""The command on a cluster of this machine: what it writes and refuses, and what it leaves."""

import csv
import json
import re
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from distribute_challenge.benchmarking import load as module
from distribute_challenge.benchmarking.clusters.local import LocalWorkers
from distribute_challenge.benchmarking.load import load
from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results import report
from distribute_challenge.benchmarking.results.plots import drawing
from distribute_challenge.errors import ClusterStartError
from tests.processes import mentioning, program

pytestmark = [pytest.mark.celery, pytest.mark.slow]

SHORT = [
    "--cluster",
    "local",
    "--runtime",
    "1",
    "--warm-up",
    "0",
    "--workload",
    "sleep",
    "--task-seconds",
    "0.05",
]
COMMAND = [sys.executable, "-m", "distribute_challenge.benchmarking.load"]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are no pictures, which saves most of the time."""
    for drawn in (drawing, report):
        monkeypatch.setattr(
            drawn, "render", lambda *_, formats, **__: dict.fromkeys(formats, b"a picture")
        )


def run(*arguments: str) -> Result:
    return CliRunner().invoke(load, [*SHORT, *arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A whole run of one and two workers."""
    folder = tmp_path_factory.mktemp("load") / "run"
    return folder, run("--max-workers", "2", "--output", str(folder))


def test_a_run_leaves_record_plots_page_and_table(measured: tuple[Path, Result]) -> None:
    folder, result = measured
    assert result.exit_code == 0, result.output
    recorded = Run.load(folder / "run.json")
    assert [(step.workers, step.complete, step.lost) for step in recorded.steps] == [
        (1, True, 0),
        (2, True, 0),
    ]
    assert recorded.machine["cores"]
    assert (folder / "report.html").stat().st_size > 10_000
    assert {path.suffix for path in folder.glob("throughput*")} == {".png"}
    with (folder / "calls.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + sum(len(step.calls) for step in recorded.steps)
    assert "cluster: embedded" in result.output
    assert re.search(r"^ *workers", result.output, re.MULTILINE)
    assert f"wrote {folder / 'report.html'}" in result.output


@pytest.mark.usefixtures("undrawn")
def test_a_resumed_run_measures_only_the_missing_sizes(measured: tuple[Path, Result]) -> None:
    folder, _ = measured
    before = Run.load(folder / "run.json")
    result = run("--max-workers", "3", "--output", str(folder), "--resume")
    assert result.exit_code == 0, result.output
    assert "3 workers: " in result.output
    assert "2 workers: " not in result.output
    after = Run.load(folder / "run.json")
    assert [step.workers for step in after.steps] == [1, 2, 3]
    assert after.steps[0].calls.as_json() == before.steps[0].calls.as_json()
    # What is not said is as it was.
    again = CliRunner().invoke(load, ["--output", str(folder), "--resume"], catch_exceptions=False)
    assert again.exit_code == 0
    assert again.output.startswith("cluster: embedded")
    assert "every size of the plan has been measured" in again.output


@pytest.mark.usefixtures("undrawn")
def test_plots_are_drawn_again_without_a_cluster(
    measured: tuple[Path, Result], tmp_path: Path
) -> None:
    folder, _ = measured
    result = CliRunner().invoke(
        load,
        [
            "--plot",
            str(folder / "run.json"),
            "--output",
            str(tmp_path / "new"),
            "--formats",
            "svg, pdf",
        ],
    )
    assert result.exit_code == 0, result.output
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".svg", ".pdf", ".html"}
    beside = CliRunner().invoke(load, ["--plot", str(folder / "run.json")])
    assert f"wrote {folder / 'report.html'}" in beside.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-workers", "3", "--max-workers", "2"], "3 is more than --max-workers 2"),
        (["--formats", "png,gif"], "'png,gif': expected some of png, pdf, svg"),
        (["--formats", " ,"], "expected some of png, pdf, svg"),
        (["--resume"], "name it with --output DIR"),
        (["--workload", "work"], "'work' is not one of 'cpu', 'sleep', 'noop', 'payload'"),
        (["--task-seconds", "0"], "0.0 is not in the range x>0"),
    ],
)
def test_contradictory_options_are_refused(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_run_is_neither_overwritten_nor_resumed_with_other_options(
    measured: tuple[Path, Result],
) -> None:
    folder, _ = measured
    result = run("--output", str(folder))
    assert result.exit_code == 2
    assert "holds a run already" in result.output
    result = run("--output", str(folder), "--resume", "--task-seconds", "0.5")
    assert result.exit_code == 2
    assert "task_seconds: 0.05 then, 0.5 now" in " ".join(result.output.split())


def test_a_missing_run_cannot_be_resumed_or_plotted(tmp_path: Path) -> None:
    for arguments in (
        ["--output", str(tmp_path), "--resume"],
        ["--plot", str(tmp_path / "run.json")],
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "give the run.json of a run" in result.output


@pytest.mark.usefixtures("undrawn")
def test_without_an_output_option_the_folder_is_named_by_date_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--max-workers", "1").exit_code == 0
    (folder,) = tmp_path.iterdir()
    assert re.fullmatch(r"load-\d{8}-\d{6}", folder.name)


def test_ctrl_c_keeps_and_plots_what_was_measured_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ["--runtime", "60", "--max-workers", "1", "--output", str(folder)]
    with program(
        [*COMMAND, *SHORT[:2], *SHORT[4:], *options], tmp_path, TMPDIR=str(tmp_path)
    ) as running:
        running.wait_for("1 worker: 60 s ...")
        running.send(signal.SIGINT)
        assert running.wait(within=60) == 130, running.output
    assert "interrupted" in running.output
    assert f"--resume --output {folder}" in running.output
    assert "not complete" in running.output
    (step,) = Run.load(folder / "run.json").steps
    assert not step.complete
    assert (folder / "report.html").exists()
    assert mentioning(tmp_path) == {}


class Failing(LocalWorkers):
    """Dies after a while."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._checks, self._error = 0, error

    def check(self) -> None:
        self._checks += 1
        if self._checks > 2:
            raise self._error


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("error", "code", "output"),
    [
        (
            ClusterStartError("the container worker-1 died:\n  its last words"),
            1,
            "Error: the container worker-1 died:\n  its last words",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["failed", "interrupted"],
)
def test_a_cluster_that_fails_is_an_error_and_what_was_measured_is_kept(
    error: BaseException, code: int, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(error)
    monkeypatch.setattr(module, "choose", lambda *_, **__: (failing, "cluster: failing"))
    result = run("--max-workers", "2", "--runtime", "20", "--output", str(tmp_path))
    assert result.exit_code == code
    assert output in result.output
    assert f"--resume --output {tmp_path}" in result.output
    assert json.loads((tmp_path / "run.json").read_text())["steps"][0]["complete"] is False


class Hopeless(LocalWorkers):
    """Does not even start."""

    def start(self) -> None:
        raise ClusterStartError("no room")


def test_a_cluster_that_does_not_start_is_an_error_and_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "choose", lambda *_, **__: (Hopeless(), "cluster: hopeless"))
    result = run("--output", str(tmp_path / "run"))
    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == ["Error: no room"]
    assert not (tmp_path / "run").exists()
