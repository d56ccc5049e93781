"""Makes the pictures of the documentation: a study on three workers, seen in Chromium."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.dashboard.chromium import Chromium
from distribute_challenge import LocalCluster, compute_this, use_backend
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


@compute_this(at_most_once=True)
def load_everything() -> None:
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)  # As the kernel does where memory is short.


def take(program: str, folder: Path) -> list[Path]:
    """Run the study, and write the pictures.

    Args:
        program: The browser.
        folder: Where the pictures go.

    Returns:
        The files.
    """
    paths = [folder / "dashboard.png", folder / "dashboard-dark.png"]
    with LocalCluster(workers=3, logs=False, dashboard=True) as cluster:
        others = [_worker(cluster.broker_url, name) for name in ("left", "right")]
        address = str(cluster.dashboard_url)
        try:
            with Chromium(program) as light, Chromium(program, is_dark=True) as dark:
                for browser in (light, dark):
                    browser.open(address)
                _study(cluster)
                for browser, path in zip((light, dark), paths, strict=True):
                    browser.run(OPEN)
                    browser.screenshot(path)
        finally:
            for other in others:
                other.kill()
                other.wait()
    return paths


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
    time.sleep(SECONDS / 2)
    load_everything.with_options(priority=9)().submit()
    time.sleep(ends - time.monotonic() - 1)
    cluster.check()
