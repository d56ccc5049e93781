"""The pictures are valid files, are the same each time, and show what was measured."""

import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from distribute_challenge.benchmarking.recording import Run, Sample, Step, Usage
from distribute_challenge.benchmarking.results.analysis import figures
from distribute_challenge.benchmarking.results.plots import PICTURES, Picture, draw
from distribute_challenge.benchmarking.results.plots.allocation import allocation
from distribute_challenge.benchmarking.results.plots.drawing import _own_style, render
from distribute_challenge.benchmarking.results.plots.latency import latency
from distribute_challenge.benchmarking.results.plots.over_time import _apart, queue, throughput
from distribute_challenge.benchmarking.results.plots.resources import resources
from distribute_challenge.benchmarking.results.plots.scaling import scaling
from tests.benchmarking.recorded import cut, interrupted, plan, recorded, tiny_step

pytestmark = pytest.mark.slow

# And how a file of each begins.
FORMATS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF-"}
RUNS = {
    "sleep": recorded("sleep", sizes=(1, 20), runtime=6),
    "cpu": recorded("cpu"),
    "noop": recorded("noop", runtime=3),
    "payload": recorded("payload", sizes=(1, 8), step=3),
    "interrupted": interrupted(),
    "one size": recorded("cpu", sizes=(3, 3)),
    "no steps": Run(plan=plan(), machine={}, epoch=0.0),
    "no calls": Run(
        plan("cpu"), {}, 0.0, steps=[Step(1, opened=1.0, closed=9.0, complete=True), Step(2)]
    ),
}


FIRST = PICTURES[0]


def first_of(run: Run, kind: str) -> bytes:
    return render(FIRST, run, figures(run), formats=[kind])[kind]


@pytest.fixture
def own_style() -> Iterator[None]:
    with _own_style():
        yield


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One run's pictures, and one of them as PDF too, by their files' names."""
    folder = tmp_path_factory.mktemp("drawn")
    # In one drawing, a format's layout would begin with that of the format before it.
    paths = [path for kind in ("png", "svg") for path in draw(RUNS["cpu"], folder, [kind])]
    drawn = {path.name: path.read_bytes() for path in paths}
    return drawn | {f"{FIRST.name}.pdf": first_of(RUNS["cpu"], "pdf")}


@pytest.mark.parametrize("run", [run for run in RUNS if run != "cpu"])  # That one is `drawn`.
def test_every_picture_is_drawn_of_every_run(run: str, tmp_path: Path) -> None:
    """What is drawn does not depend on the format; SVG is the quickest."""
    paths = draw(RUNS[run], tmp_path, ["svg"])
    assert paths == [tmp_path / f"{picture.name}.svg" for picture in PICTURES]
    for path in paths:
        content = path.read_bytes()
        assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        assert 3_000 < len(content) < 500_000


def test_files_are_what_they_claim_to_be(drawn: dict[str, bytes]) -> None:
    assert len(drawn) == 2 * len(PICTURES) + 1
    for name, content in drawn.items():
        kind = name.rpartition(".")[2]
        assert content.startswith(FORMATS[kind])
        assert 3_000 < len(content) < 500_000
        if kind == "png":
            width, height = struct.unpack(">II", content[16:24])
            assert width == 1660
            assert 600 < height < 1000


def test_several_formats_are_drawn_at_once(tmp_path: Path) -> None:
    paths = draw(RUNS["no steps"], tmp_path, list(FORMATS))
    assert paths == [
        tmp_path / f"{picture.name}.{kind}" for picture in PICTURES for kind in FORMATS
    ]
    for path in paths:
        assert path.read_bytes().startswith(FORMATS[path.suffix[1:]])


def test_two_drawings_of_a_run_are_the_same_bytes(drawn: dict[str, bytes], tmp_path: Path) -> None:
    """The user's own style changes nothing."""
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        again = {path.name: path.read_bytes() for path in draw(RUNS["cpu"], tmp_path, ["svg"])}
        for kind in ("png", "pdf"):  # What is drawn is the same; one picture tries the format.
            again[f"{FIRST.name}.{kind}"] = first_of(RUNS["cpu"], kind)
        assert matplotlib.rcParams["font.size"] == 30
    assert len(again) == len(PICTURES) + 2
    assert [name for name, content in again.items() if content != drawn[name]] == []


def test_no_file_tells_when_or_by_what_it_was_made(drawn: dict[str, bytes]) -> None:
    words = (b"Software", b"CreationDate", b"dc:date", b"Matplotlib v")
    for name, content in drawn.items():
        assert [word for word in words if word in content] == [], name


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_dollar_signs_in_names_are_not_drawn_as_formulas(picture: Picture) -> None:
    """Names of containers are not ours to choose."""
    step = tiny_step((10.0, 11.0, "worker-$x"))
    step.samples = [Sample(11.0, 1, 1, {"$\\frac$": 2}, {"$\\bad$": Usage(0.1, 10)})]
    run = Run(plan("cpu"), {}, 0.0, steps=[step])
    assert render(picture, run, figures(run), formats=["svg"])["svg"]


@pytest.mark.usefixtures("own_style")
def test_each_line_over_time_has_its_number_of_workers_beside_it() -> None:
    run = RUNS["sleep"]
    (axes,) = throughput("t", run, figures(run)).axes
    assert set(texts(axes)) == {*map(str, range(1, 21)), "workers", "warm-up"}
    places = sorted(text.xyann[1] for text in axes.texts if hasattr(text, "xyann"))
    gap = (axes.get_ylim()[1] - axes.get_ylim()[0]) / 24
    assert all(right - left >= gap * 0.999 for left, right in pairwise(places))


@pytest.mark.usefixtures("own_style")
def test_a_plot_of_many_sizes_labels_some_of_them_and_the_last() -> None:
    """The last is one of them."""
    run = recorded("sleep", sizes=(1, 50), runtime=2)
    (axes,) = queue("t", run, figures(run)).axes
    named = set(texts(axes)) - {"workers"}
    assert "50" in named
    assert len(named) <= 24


@pytest.mark.usefixtures("own_style")
def test_throughput_of_single_seconds_is_drawn_only_if_there_are_many_calls() -> None:
    """With few calls they show no more than the calls themselves."""
    few, many = RUNS["cpu"], RUNS["noop"]
    assert len(throughput("t", few, figures(few)).axes[0].lines) == 4
    assert len(throughput("t", many, figures(many)).axes[0].lines) == 8


@pytest.mark.usefixtures("own_style")
def test_a_run_without_a_warm_up_shows_no_warm_up() -> None:
    run = recorded("cpu", warm_up=0)
    (axes,) = throughput("t", run, figures(run)).axes
    assert "warm-up" not in texts(axes)


@pytest.mark.usefixtures("own_style")
def test_a_step_that_was_cut_short_is_marked_in_every_picture_of_sizes() -> None:
    run = RUNS["interrupted"]
    steps = figures(run)
    assert "4 (cut short)" in texts(throughput("t", run, steps).axes[0])
    assert "4 (cut short)" in texts(queue("t", run, steps).axes[0])
    assert "cut short" in scaling("t", run, steps).axes[0].get_legend_handles_labels()[1]
    assert allocation("t", run, steps).axes[0].get_xticklabels()[-1].get_text() == "4\n(cut short)"


@pytest.mark.usefixtures("own_style")
def test_a_step_interrupted_in_its_warm_up_is_drawn_in_every_plot() -> None:
    run = recorded("sleep", sizes=(1, 2))
    run.steps[1] = cut(run.steps[1], run.steps[1].opened - 1)
    for function in (throughput, queue, scaling, allocation, latency, resources):
        assert function("t", run, figures(run)).axes


@pytest.mark.usefixtures("own_style")
def test_scaling_shows_the_cores_of_the_machine_to_calls_that_keep_them_busy() -> None:
    for name, shown in (("cpu", True), ("payload", False), ("one size", False)):
        run = RUNS[name]
        assert ("2 cores" in texts(scaling("t", run, figures(run)).axes[0])) is shown


@pytest.mark.usefixtures("own_style")
def test_the_throughput_axis_ends_near_the_highest_measurement() -> None:
    run = recorded("noop", sizes=(1, 10), step=3, runtime=2, most=12_000)
    left, right = scaling("t", run, figures(run)).axes
    most = max(step.throughput for step in figures(run))
    assert most < left.get_ylim()[1] < 2 * most
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0


@pytest.mark.usefixtures("own_style")
def test_workers_are_placed_by_their_deviation_from_an_equal_share() -> None:
    """A worker that ran nothing is a hundred percent below an equal share, also without a name."""
    step = tiny_step((10.0, 11.0, "worker-1"), (11.0, 12.0, "worker-2"), workers=4)
    run = Run(plan(), {}, 0.0, steps=[step])
    (axes,) = allocation("t", run, figures(run)).axes
    assert axes.lines[0].get_ydata().tolist() == [1.0, 1.0, -1.0, -1.0]
    assert axes.get_ylim() == (-1.12, 1.12)
    ticks = [axes.yaxis.get_major_formatter()(value, 0) for value in (-1.0, 0.0, 0.5)]
    assert ticks == ["-100 %", "equal share", "+50 %"]


@pytest.mark.usefixtures("own_style")
def test_times_far_apart_have_an_axis_of_powers_of_ten() -> None:
    step = tiny_step((10.0, 10.0, "worker-1"), (10.0, 10.01, "worker-1"), (10.0, 14.0, "worker-1"))
    run = Run(plan("cpu"), {}, 0.0, steps=[step])
    waiting, running, returning = latency("t", run, figures(run)).axes
    assert [axes.get_yscale() for axes in (waiting, running, returning)] == [
        "linear",
        "log",
        "linear",
    ]
    assert running.yaxis.get_major_formatter()(0.01, 0) == "10 ms"
    assert running.get_ylim()[0] > 0
    assert waiting.get_ylim()[0] == 0


@pytest.mark.usefixtures("own_style")
def test_calls_that_took_no_time_have_a_place_on_an_axis_of_powers_of_ten() -> None:
    step = tiny_step(*[(11.0, 11.0, "worker-1")] * 9, (10.0, 13.0, "worker-1"))
    run = Run(plan("cpu"), {}, 0.0, steps=[step])
    assert latency("t", run, figures(run)).axes[1].get_ylim()[0] > 0


@pytest.mark.usefixtures("own_style")
def test_a_name_has_one_colour_in_all_panels() -> None:
    run = RUNS["cpu"]
    figure = resources("t", run, figures(run))
    cpu, memory, connections = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["workers", "redis", "client"]
    assert {to_hex(axes.lines[0].get_color()) for axes in (cpu, memory, connections)} == {"#0072b2"}
    assert len({to_hex(line.get_color()) for line in (*cpu.lines, *connections.lines)}) == 3
    assert memory.yaxis.get_major_formatter()(50_000_000, 0) == "50 MB"
    assert memory.yaxis.get_major_formatter()(0, 0) == "0"


def test_labels_keep_apart_and_inside() -> None:
    assert _apart([0, 0, 0], gap=1, bottom=0, top=10) == [0, 1, 2]
    assert _apart([9, 10, 10], gap=1, bottom=0, top=10) == [8, 9, 10]
    assert _apart([2, 5], gap=1, bottom=0, top=10) == [2, 5]
