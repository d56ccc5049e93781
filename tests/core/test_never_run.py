"""Work that was set up and never happened is told, once for each line, and can be silenced."""

import gc
import subprocess
import sys
import warnings
from pathlib import Path
from types import FrameType

import pytest

from distribute_challenge import compute_this, use_backend
from distribute_challenge.errors import BackendError, NeverRunWarning, OptionError
from tests.processes import environment

pytestmark = pytest.mark.slow

SCRIPT = """\
from distribute_challenge import compute_this

@compute_this
def send(x):
    return x

for number in range(3):
    send(number)
send.map([1, 2])
kept = send(4)
"""

TOLD = """\
script.py:8: NeverRunWarning: a call of send was made and never run: write send(...).compute(), or .submit() to go on meanwhile
  send(number)
script.py:9: NeverRunWarning: a map over send was made and never run: it begins when its first result is asked for, \
as in: for result in send.map(...)
  send.map([1, 2])
script.py:10: NeverRunWarning: a call of send was made and never run: write send(...).compute(), or .submit() to go on meanwhile
  kept = send(4)
"""


def errors_of(folder: Path, script: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    (folder / "script.py").write_text(script)
    command = [sys.executable, *options, "script.py", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    return done.stderr.replace(f"{folder}/", "")


def test_a_script_gets_a_warning_for_each_line_whose_work_never_ran(tmp_path: Path) -> None:
    """It is told of calls that its own variables hold at its end, too."""
    assert errors_of(tmp_path, SCRIPT) == TOLD


def test_a_warning_filter_silences_the_never_run_warning(tmp_path: Path) -> None:
    silenced = f"import warnings\nwarnings.filterwarnings('ignore', 'a call of send')\n{SCRIPT}"
    assert errors_of(tmp_path, silenced).count("NeverRunWarning") == 1
    assert errors_of(tmp_path, SCRIPT, options=("-W", "ignore::RuntimeWarning")) == ""


def test_a_script_that_ends_with_an_error_gets_no_never_run_warning(tmp_path: Path) -> None:
    failing = "from distribute_challenge import compute_this\nkept = compute_this(pow)(1, 2)\nraise SystemError"
    assert errors_of(tmp_path, failing).endswith("raise SystemError\nSystemError\n")


def test_work_that_ran_or_raised_an_error_gives_no_warning() -> None:
    """The error has said it."""
    square = compute_this(lambda x: x * x)
    with warnings.catch_warnings(record=True) as told, use_backend("local"):
        warnings.simplefilter("always")
        assert square(3).compute() == square(3).submit().result() == next(square.map([3])) == 9
        for refused in (lambda: square(3).compute("nope"), lambda: square(3).submit("nope")):
            with pytest.raises(BackendError):
                refused()
        with pytest.raises(OptionError):
            square.map([1], batch_size=0)
        gc.collect()
    assert not told


def test_the_never_run_warning_points_at_the_line_that_made_the_call() -> None:
    square = compute_this(lambda x: x * x)
    with pytest.warns(NeverRunWarning, match="a call of <lambda> was made and never run") as told:
        square(3)
    assert told[0].filename == __file__


# Short: under a tracer, as of coverage, Python 3.11 does not go on while a thread in C code has yet
# to take an interruption.
CANCELLED = """
import sys, time
from distribute_challenge import compute_this
{imports}
nap = compute_this(time.sleep, backend={backend})
assert nap(0).submit().result() is None
future = nap(2).submit()
"""


@pytest.mark.parametrize(
    ("backend", "imports"),
    [
        ("'threads'", ""),
        (
            "ThreadsExecutionBackend(1)",
            (
                "from distribute_challenge.execution_backends.pools.threads import "
                "ThreadsExecutionBackend"
            ),
        ),
    ],
)
def test_calls_that_the_end_of_a_script_cancels_are_counted(
    backend: str, imports: str, tmp_path: Path
) -> None:
    """Tests of the contract have those of other engines, and more."""
    said = (
        "sys:1: NeverRunWarning: 1 submitted call was not done at the end of the program, which "
        "cancelled what was left: "
        "wait with .result(), or let calls go on without it by .submit(detach=True)\n"
    )
    assert errors_of(tmp_path, CANCELLED.format(backend=backend, imports=imports)) == said


def test_calls_that_a_failing_script_leaves_are_not_counted(tmp_path: Path) -> None:
    failing = CANCELLED.format(backend="'threads'", imports="") + "raise SystemError"
    assert errors_of(tmp_path, failing).endswith("\nSystemError\n")


def test_deleting_a_call_that_has_run_executes_no_python_code() -> None:
    """Python ignores a Ctrl+C that comes as a deletion calls such a function."""
    call = compute_this(pow)(2, 3)
    assert call.compute("local") == 8
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    del call
    sys.setprofile(before)
    assert calls == []
