"""A user's own test suite, in several processes at once."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("xdist")

SUITE = """
    import threading

    import pytest

    from distribute_challenge import compute_this


    @compute_this
    def square(x):
        return x * x


    @pytest.mark.parametrize("backend", ["celery", "processes", "threads", "local"])
    def test_map(backend):
        assert list(square.map(range(50), backend=backend)) == [x * x for x in range(50)]


    @pytest.mark.parametrize("number", range(4))
    def test_compute_and_files(number, tmp_path):
        @compute_this
        def write(path):
            path.write_text("written")

        write(tmp_path / "file").compute(timeout=60)
        assert (tmp_path / "file").read_text() == "written"


    def test_callback():
        done = threading.Event()
        square(3).submit().add_done_callback(lambda _: done.set())
        assert done.wait(60)


    def test_error():
        @compute_this
        def fail():
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            fail().submit().result(60)
    """


@pytest.mark.slow
@pytest.mark.celery
@pytest.mark.usefixtures("unmeasured")
def test_a_suite_that_uses_the_library_runs_under_xdist(tmp_path: Path) -> None:
    """Each of its processes has a cluster of its own, which ends with it."""
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(textwrap.dedent(SUITE))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 passed" in done.stdout
