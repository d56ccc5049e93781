"""Measures what a user waits for before the first result, in fresh interpreters."""

import subprocess
import sys
import time
from statistics import median

__all__ = ["first_result", "import_seconds"]

IMPORT = (
    "import time; began = time.perf_counter(); from distribute_challenge import compute_this; "
    "print(time.perf_counter() - began)"
)
FIRST_RESULT = """
import time
from distribute_challenge import compute_this

@compute_this()
def square(x):
    return x * x

assert square(2).compute() == 4
print(time.time())
"""
REPEATED = 5  # Interpreters of each kind in a round; their median counts.


def import_seconds(workers: int) -> dict[str, float]:
    """Measure the import of ``compute_this``, as the import of the package alone loads nothing."""
    return {"import": median(_printed(IMPORT) for _ in range(REPEATED))}


def first_result(workers: int) -> dict[str, float]:
    """Measure from the start of a script's interpreter to its first result, with the cluster."""
    times = []
    for _ in range(REPEATED):
        began = time.time()
        times.append(_printed(FIRST_RESULT) - began)
    return {"first_result": median(times)}


def _printed(code: str) -> float:
    return float(
        subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    )
