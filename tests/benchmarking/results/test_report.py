"""The page of a run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.recording import Run, Sample, Step, Usage
from distribute_challenge.benchmarking.results import report
from distribute_challenge.benchmarking.results.analysis import figures
from distribute_challenge.benchmarking.results.plots import PICTURES
from distribute_challenge.benchmarking.results.plots.drawing import render
from distribute_challenge.benchmarking.results.report import write
from tests.benchmarking.recorded import interrupted, plan, recorded, tiny_step

pytestmark = pytest.mark.slow

HOSTILE = "<img src=http://x.example/y onerror=alert(1)>"


@pytest.fixture(scope="module")
def pictures() -> dict[str, dict[str, bytes]]:
    """One run's pictures, by name."""
    run = recorded("cpu", sizes=(1, 1))
    return {
        picture.name: render(picture, run, figures(run), formats=["svg"]) for picture in PICTURES
    }


@pytest.fixture
def drawn_once(pictures: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages with the pictures of another run: to draw them takes longer than all else."""
    monkeypatch.setattr(report, "render", lambda picture, *_, **__: pictures[picture.name])


def page_of(run: Run, folder: Path) -> str:
    path = write(run, folder)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("drawn_once")
def test_the_answer_stands_at_the_top(tmp_path: Path) -> None:
    page = page_of(recorded("cpu"), tmp_path)
    answer = re.search('<p class="answer">(.*?)</p>', page)
    assert answer is not None
    assert answer[1].startswith(
        "Throughput grows up to 2 workers, as many as the machine has cores, and stays there"
    )
    assert page.index(answer[0]) < page.index("<table>")


@pytest.mark.usefixtures("drawn_once")
def test_a_run_in_which_all_went_well_says_so(tmp_path: Path) -> None:
    page = page_of(recorded("sleep", sizes=(1, 2)), tmp_path)
    assert '<p class="fine">None of the 60 calls measured was lost, and none failed.</p>' in page
    assert 'class="mishap"' not in page
    assert "<h2>Failures</h2>" not in page


@pytest.mark.usefixtures("drawn_once")
def test_mishaps_are_listed_at_the_top_of_the_page_and_in_the_tables(tmp_path: Path) -> None:
    page = page_of(interrupted(), tmp_path)
    mishaps = re.findall('<p class="mishap">(.*?)</p>', page)
    assert mishaps == [
        "1 call never came back.",
        "2 calls failed: OSError: no space &lt;left&gt; (2).",
        "Not measured to the end: the step with 4 workers.",
    ]
    assert 'class="fine"' not in page
    assert '<th scope="row">4 (cut short)</th>' in page
    assert '<td>OSError: no space &lt;left&gt;</td><td class="number">2</td>' in page


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("run", [recorded("cpu"), interrupted(), recorded("sleep", sizes=(1, 1))])
def test_the_page_loads_nothing_from_elsewhere(run: Run, tmp_path: Path) -> None:
    """It loads no script, style, picture or font."""
    page = page_of(run, tmp_path)
    assert "http" not in page
    assert "<script" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert all(target.startswith("data:") for target in re.findall('(?:src|href)="(.*?)"', page))
    assert page.count('src="data:image/svg+xml;base64,') == len(PICTURES)


@pytest.mark.usefixtures("drawn_once")
def test_names_and_texts_from_elsewhere_are_escaped(tmp_path: Path) -> None:
    step = tiny_step((10.0, 11.0, f"worker-{HOSTILE}"), (10.0, 12.0, "worker-2"))
    step.failures = {HOSTILE: 1}
    step.samples = [Sample(11.0, 1, 1, {HOSTILE: 1}, {HOSTILE: Usage(0.5, 10)})]
    run = Run(
        replace(plan(), workload=HOSTILE, cluster=HOSTILE), {HOSTILE: HOSTILE}, 0.0, steps=[step]
    )
    page = page_of(run, tmp_path)
    assert "<img src=http" not in page
    assert page.count("&lt;img src=http") > 6


@pytest.mark.usefixtures("drawn_once")
def test_the_figures_stand_in_the_tables(tmp_path: Path) -> None:
    run = recorded("sleep", sizes=(9, 10), runtime=10)
    run.machine["memory"] = 8_000_000_000
    page = page_of(run, tmp_path)
    row = re.search('<th scope="row">10</th>(.*?)</tr>', page)
    assert row is not None
    assert re.findall("<td.*?>(.*?)</td>", row[1])[:3] == ["9.96", "10.0", "99.6 %"]
    assert '<th scope="row">memory</th><td>8.00 GB</td>' in page
    assert '<th scope="row">processor</th><td>Example CPU @ 2.10GHz</td>' in page
    workers = re.findall('<th scope="row">(worker-.*?)</th>', page)
    assert workers == [f"worker-{i}" for i in range(1, 11)]


@pytest.mark.usefixtures("drawn_once")
def test_loops_of_a_call_are_shown_only_for_calls_that_spin(tmp_path: Path) -> None:
    assert '<th scope="row">loops of a call</th><td>40,000,000</td>' in page_of(
        recorded("cpu", sizes=(1, 1)), tmp_path
    )
    assert "loops of a call" not in page_of(recorded("sleep", sizes=(1, 1)), tmp_path)


def test_a_run_without_steps_has_a_page_without_tables_of_them(tmp_path: Path) -> None:
    page = page_of(Run(plan(), {"cores": 2}, 0.0), tmp_path)
    assert "Nothing was measured to its end." in page
    assert "Each size" not in page
    assert 'class="fine"' not in page


@pytest.mark.usefixtures("drawn_once")
def test_a_figure_without_a_measurement_is_shown_as_a_dash(tmp_path: Path) -> None:
    page = page_of(Run(plan("noop"), {}, 0.0, steps=[Step(1)]), tmp_path)
    assert (
        '<th scope="row">1 (cut short)</th><td class="number">0</td><td class="number">-</td>'
        in page
    )


def test_a_page_of_a_run_is_the_same_each_time(tmp_path: Path) -> None:
    run = recorded("cpu", sizes=(1, 2))
    page = page_of(run, tmp_path)
    assert page.count('src="data:image/svg+xml;base64,') == len(PICTURES)
    assert page_of(run, tmp_path) == page
