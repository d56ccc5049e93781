"""Measures `benchmarks.self.throughput.submitted` with a function of a script.

The library sends such a function in another way than a function of a module.
"""

import subprocess
import sys

__all__ = ["submitted_by_script"]

CALLS = 100_000
SCRIPT = f"""
import time
from distribute_challenge import LocalCluster, compute_this

@compute_this()
def same(x):
    return x

with LocalCluster({{workers}}):
    assert sum(same.map(range(10_000))) == sum(range(10_000))
    began = time.perf_counter()
    futures = [same(number).submit() for number in range({CALLS})]
    assert sum(future.result() for future in futures) == sum(range({CALLS}))
    print(time.perf_counter() - began)
"""


def submitted_by_script(workers: int) -> dict[str, float]:
    """Measure ``submit()`` one by one, and then all results."""
    code = SCRIPT.format(workers=workers)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return {"script_submit_and_results": CALLS / float(done.stdout)}
