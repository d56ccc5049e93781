"""joblib's own tests of `Parallel`, from the installed package, with our backend in loky's place."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.optional import needed
from tests.processes import environment

needed("joblib")
needed("numpy")

pytestmark = [pytest.mark.celery, pytest.mark.slow]

BINDING = Path(__file__).parent / "joblib_binding"
AT_LEAST = 225  # Tests of a half that pass; releases of joblib differ by some.


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("half", [0, 1])
def test_joblibs_tests_of_parallel_pass(half: int, tmp_path: Path) -> None:
    """The plugin in `BINDING` lists the tests that are left out, each with the reason."""
    paths = [str(BINDING), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "in_lokys_place", f"--half={half}"),
            *("-p", "no:cacheprovider", "-o", "faulthandler_timeout=90"),
            *("--pyargs", "joblib.test.test_parallel"),
        ],
        cwd=tmp_path,
        env=environment(PYTHONPATH=os.pathsep.join(paths), MANAGER_KEY="of all processes"),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= AT_LEAST
