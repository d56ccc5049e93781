"""What a script has set for itself, in the processes that run its calls."""

import decimal
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from distribute_challenge.execution.surroundings import Surroundings, interpreter_flags
from tests.processes import environment, program, run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    before = Surroundings.of_this_process()
    with decimal.localcontext():
        yield
    before.apply()


def test_limits_decimal_context_and_start_method_are_restored_from_json() -> None:
    decimal.setcontext(
        decimal.Context(prec=50, rounding=decimal.ROUND_DOWN, traps=[decimal.Overflow])
    )
    sys.setrecursionlimit(5000)
    sys.set_int_max_str_digits(10_000)
    multiprocessing.set_start_method("spawn", force=True)
    told = json.dumps(Surroundings.of_this_process())
    decimal.setcontext(decimal.Context())
    sys.setrecursionlimit(1000)
    sys.set_int_max_str_digits(0)
    multiprocessing.set_start_method(None, force=True)
    Surroundings(*json.loads(told)).apply()
    assert (sys.getrecursionlimit(), sys.get_int_max_str_digits()) == (5000, 10_000)
    assert multiprocessing.get_start_method() == "spawn"
    context = decimal.getcontext()
    assert (context.prec, context.rounding) == (50, decimal.ROUND_DOWN)
    assert [signal for signal, is_trapped in context.traps.items() if is_trapped] == [
        decimal.Overflow
    ]


def test_a_default_or_unused_decimal_context_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program with Python's first decimal context needs none, either."""
    decimal.setcontext(decimal.Context())
    assert Surroundings.of_this_process().decimal is None
    monkeypatch.delitem(sys.modules, "decimal")
    assert Surroundings.of_this_process().decimal is None


def test_django_is_set_up_if_the_script_has_set_it_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If it cannot be, the log says why, and calls without it run."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no_such_settings")
    for is_ready in (False, True):
        monkeypatch.setitem(
            sys.modules, "django.apps", SimpleNamespace(apps=SimpleNamespace(ready=is_ready))
        )
        assert Surroundings.of_this_process().has_django is is_ready
    with_django = Surroundings.of_this_process()
    monkeypatch.setitem(sys.modules, "django", SimpleNamespace(setup=lambda: print("set up")))
    with_django.apply()
    assert caplog.text == ""
    monkeypatch.setitem(sys.modules, "django", SimpleNamespace(setup=lambda: 1 / 0))
    with_django.apply()
    assert "cannot set up Django" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_interpreter_flags_reproduce_the_flags_of_the_interpreter() -> None:
    code = "from distribute_challenge.execution.surroundings import interpreter_flags; print(*interpreter_flags())"
    for flags in (
        ["-O", "-W", "ignore"],
        ["-X", "dev", "-X", "mine=1", "-X", "bare"],
        ["-I"],
        ["-s", "-E"],
    ):
        command = [sys.executable, *flags, "-c", code]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60, env=environment()
        )
        again = [sys.executable, *done.stdout.split(), "-c", code]
        assert (
            subprocess.run(again, capture_output=True, text=True, check=True, timeout=60).stdout
            == done.stdout
        )
        assert all(flag.removeprefix("-W") in done.stdout for flag in flags)
    assert "-S" not in interpreter_flags()


FLAGS = """
import sys, warnings
from distribute_challenge import compute_this

def found():
    import sys, warnings
    try:
        warnings.warn("a warning", DeprecationWarning)
        kind = "warned"
    except DeprecationWarning:
        kind = "raised"
    return sys.flags.optimize, sys._xoptions.get("mine"), kind

assert compute_this(found)().compute(timeout=60) == found() == (1, "1", "raised"), compute_this(found)().compute()
"""


@pytest.mark.celery
def test_an_embedded_worker_has_the_flags_of_its_script(tmp_path: Path) -> None:
    """If warnings are errors, they are so in calls. The worker lives despite its own warnings."""
    (tmp_path / "script.py").write_text(FLAGS)
    for flags, variables in (
        (["-O", "-X", "mine=1", "-W", "error::DeprecationWarning"], {}),
        (["-X", "mine=1"], {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "1"}),
    ):
        with program(
            [sys.executable, *flags, str(tmp_path / "script.py")], tmp_path, **variables
        ) as script:
            assert script.wait() == 0, script.output


LIMITS = """
import decimal, os, sys
from distribute_challenge import compute_this

def found():
    import decimal, os, sys
    return sys.getrecursionlimit(), decimal.getcontext().prec, os.environ.get("SET_BY_THE_SCRIPT"), os.getcwd()

if __name__ == "__main__":
    os.mkdir("folder")
    os.chdir("folder")
    os.environ["SET_BY_THE_SCRIPT"] = "yes"
    sys.setrecursionlimit(20_000)
    decimal.getcontext().prec = 50
    for backend in "celery", "processes":
        told = compute_this(found)().compute(backend, timeout=60)
        assert told == found() == (20_000, 50, "yes", os.getcwd()), (backend, told)
"""


@pytest.mark.celery
def test_workers_have_limits_variables_and_folder_as_they_are_at_the_first_call(
    tmp_path: Path,
) -> None:
    run(LIMITS, tmp_path)


DJANGO = """
import os, sys
from pathlib import Path

root = Path.cwd()
database = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(root / "db")}}
(root / "config.py").write_text(f"SECRET_KEY = 'x'\\nINSTALLED_APPS = ['shop']\\nDATABASES = {database!r}\\n")
(root / "shop").mkdir()
(root / "shop" / "__init__.py").write_text("")
(root / "shop" / "models.py").write_text(
    "from django.db import models\\nclass Item(models.Model):\\n    name = models.CharField(max_length=9)\\n"
)
(root / "jobs.py").write_text("from shop.models import Item\\ndef name(key):\\n    return Item.objects.get(pk=key).name\\n")
os.environ["DJANGO_SETTINGS_MODULE"] = "config"
import django

django.setup()
import jobs
from django.db import connection
from distribute_challenge import compute_this

if __name__ == "__main__":
    with connection.schema_editor() as editor:
        editor.create_model(jobs.Item)
    key = jobs.Item.objects.create(name="pen").pk
    for backend in "celery", "processes", "threads", "local":
        assert compute_this(jobs.name)(key).compute(backend, timeout=60) == "pen", backend
"""


@pytest.mark.celery
def test_calls_use_the_models_of_a_django_program_on_every_backend(tmp_path: Path) -> None:
    pytest.importorskip("django")
    run(DJANGO, tmp_path)
