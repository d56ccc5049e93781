"""Makes the pictures of the documentation: studies on three workers, seen in Chromium.

The dashboard is seen while its study runs, in light and in dark; the report of another study when
that has ended.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.dashboard.chromium import Chromium
from distribute_challenge import LocalCluster, compute_this, gather, report, use_backend
from distribute_challenge.cluster.embedded import WORKER_MODULE

__all__ = ["take"]

# Opens the failure of the process that died: tracebacks have paths of this machine.
OPEN = """
Array.from(document.querySelectorAll('#failures details'))
  .find((each) => each.textContent.includes('process died')).open = true
"""
SECONDS = 45.0  # That the study runs before the picture is taken.


@compute_this
def simulate(seed: int) -> float:
    value = random.Random(seed).uniform(0.2, 0.9)
    time.sleep(value)
    return value


@compute_this
def fit(fold: int) -> int:
    time.sleep(0.08)
    if fold % 90 == 17:
        raise ValueError(f"no convergence in fold {fold}")
    return fold


@compute_this
def score(x: int) -> int:
    time.sleep(0.002)
    return x * x


@compute_this
def feature(seed: int) -> float:
    time.sleep(0.05)
    return random.Random(seed).random()


@compute_this
def summary(values: Any) -> Any:
    time.sleep(0.2)
    return sum(values) / len(values)


@compute_this(at_most_once=True)
def load_everything() -> None:
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)  # As the kernel does where memory is short.


def take(program: str, folder: Path) -> list[Path]:
    """Run the studies, and write the pictures.

    Args:
        program: The browser.
        folder: Where the pictures go.

    Returns:
        The files.
    """
    paths = [folder / "dashboard.png", folder / "dashboard-dark.png"]
    with (
        _cluster(dashboard=True) as cluster,
        Chromium(program) as light,
        Chromium(program, is_dark=True) as dark,
    ):
        for browser in (light, dark):
            browser.open(str(cluster.dashboard_url))
        _study(cluster)
        for browser, path in zip((light, dark), paths, strict=True):
            browser.run(OPEN)
            browser.screenshot(path)
    return [*paths, _report(program, folder / "report.png")]


def _report(program: str, path: Path) -> Path:
    """Run a study with a report, and write a picture of that."""
    with tempfile.TemporaryDirectory() as folder, _cluster(dashboard=False):
        page = Path(folder, "study.html")
        score(1).compute()
        with report(page, title="Two hundred simulations"):
            summaries = [summary([feature(8 * n + i) for i in range(8)]) for n in range(20)]
            fits = [fit(fold) for fold in range(120)]
            gather([simulate(seed) for seed in range(200)], fits, summaries, return_exceptions=True)
            list(score.map(range(5000)))
        with Chromium(program, width=1000) as browser:
            browser.open(page.as_uri())
            while "simulations" not in browser.text("h1"):
                time.sleep(0.1)
            browser.screenshot(path)
    return path


@contextmanager
def _cluster(*, dashboard: bool) -> Iterator[LocalCluster]:
    """A cluster with three workers."""
    with LocalCluster(workers=3, logs=False, dashboard=dashboard) as cluster:
        others = [_worker(cluster.broker_url, name) for name in ("left", "right")]
        try:
            yield cluster
        finally:
            for other in others:
                other.kill()
                other.wait()


def _worker(url: str, name: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", WORKER_MODULE, url, "3", name]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _study(cluster: LocalCluster) -> None:
    """Keep the cluster busy for a while, from this thread and another one."""

    def scores() -> None:
        with use_backend(cluster.backend):
            for number, _ in enumerate(score.map(range(200_000))):
                if number % 100 == 0 and time.monotonic() > ends:
                    return

    ends = time.monotonic() + SECONDS
    thread = threading.Thread(target=scores)
    thread.start()
    for seed in range(2000):
        simulate(seed).submit()
    for fold in range(3000):
        fit(fold).submit()
    means = [summary([feature(20 * n + i) for i in range(20)]) for n in range(40)]
    graphs = [summary([feature(-n) for n in range(10)]).submit(), summary(means).submit()]
    time.sleep(SECONDS / 2)
    load_everything.with_options(priority=9)().submit()
    time.sleep(ends - time.monotonic() - 1)
    cluster.check()
    assert not graphs[-1].done()  # It is on the picture.
