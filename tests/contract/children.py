"""Calls that start processes of their own; they stand apart so that a worker's new process need not
import pytest to run them.
"""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from distribute_challenge.execution import process_state


def start_processes(folder: str) -> None:
    """Some that run, one that waits for work, and one that is no daemon; their numbers are names of
    files in the folder.
    """
    context: Any = multiprocessing.get_context("fork")
    started = [
        context.Process(target=time.sleep, args=(300,), daemon=daemon) for daemon in (True, False)
    ]
    for process in started:
        process.start()
    executor = ProcessPoolExecutor(2, mp_context=context)
    executor.submit(time.sleep, 300)
    executor.submit(abs, -1).result(60)
    for pid in [*(process.pid for process in started), *executor._processes]:
        Path(folder, str(pid)).touch()


def start_and_die(folder: str) -> None:
    start_processes(folder)
    os.kill(os.getpid(), signal.SIGKILL)


def start_and_spoil(folder: str) -> None:
    start_processes(folder)
    process_state._spoilt = True
