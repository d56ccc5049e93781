"""Which modules are the project's own, and the sources of theirs that travel."""

import os
import sys
import time
import types
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from unittest import mock

import pytest

from distribute_challenge.core import clock
from distribute_challenge.serialisation.modules import locations, project_modules
from distribute_challenge.serialisation.modules.project_modules import (
    Sources,
    imported_names,
    is_project_module,
)
from distribute_challenge.serialisation.modules.source_text import stamp

pytestmark = pytest.mark.slow


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on `sys.path` whose modules are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_standard_library_and_installed_modules_are_not_the_project_s() -> None:
    """This library, `__main__` and names of no module are not, either."""
    for name in (
        "json",
        "os",
        "cloudpickle",
        "distribute_challenge",
        "distribute_challenge.errors",
        "__main__",
    ):
        assert not is_project_module(name)
    for nothing in ("no_such_module", "", None):
        assert not is_project_module(nothing)
    assert is_project_module(__name__)


def test_a_module_without_spec_or_without_source_is_not_the_project_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is nothing to send."""
    for name in ("made_here",):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert not is_project_module("made_here")
    assert not is_project_module("_thread")


def test_a_compiled_module_of_the_project_is_named_and_not_sent(importable: Path) -> None:
    """Its worker finds it where it lies, or says that it has to be installed."""
    filename = importable / f"native{EXTENSION_SUFFIXES[0]}"
    filename.touch()
    (module,) = Sources(["native"]).modules
    assert (module.name, module.filename, module.source) == ("native", str(filename), None)
    assert "native is a compiled module" in module.problem


def test_sources_hold_what_is_imported_by_what_is_imported(importable: Path) -> None:
    """Parents too; modules of others and names that are no modules are left out."""
    (importable / "package" / "sub").mkdir(parents=True)
    (importable / "package" / "__init__.py").write_text("")
    (importable / "package" / "sub" / "__init__.py").write_text("from package.other import *")
    (importable / "package" / "other.py").write_text(
        "import json, os.path, no_such_module, package.nor_this"
    )
    (importable / "package" / "sub" / "leaf.py").write_text(
        "from . import nothing\nfrom .. import other\nx = 1"
    )
    (importable / "alone.py").write_text("from package.sub.leaf import x")
    sources = Sources(["alone", "json"])
    assert [module.name for module in sources.modules] == [
        "alone",
        "package",
        "package.other",
        "package.sub",
        "package.sub.leaf",
    ]


def test_sources_are_fresh_until_a_file_changes_or_goes(importable: Path) -> None:
    """Then they are read again."""
    (importable / "one.py").write_text("import two")
    (importable / "two.py").write_text("x = 1")
    sources = Sources(["one"])
    assert sources.is_fresh()
    (importable / "two.py").write_text("x = 1000")
    assert not sources.is_fresh()
    sources = Sources(["one"])
    assert sources.is_fresh()
    (importable / "two.py").unlink()
    assert sources.is_fresh(within=1000)  # The files are not looked at.
    assert not sources.is_fresh()


def test_a_source_is_read_in_its_own_encoding(importable: Path) -> None:
    """Its first line declares the encoding."""
    (importable / "latin.py").write_bytes("# coding: latin-1\nname = 'Zoë'\n".encode("latin-1"))
    (module,) = Sources(["latin"]).modules
    assert module.source is not None
    assert "Zoë" in module.source


def test_a_source_with_a_syntax_error_travels_as_it_is(importable: Path) -> None:
    """Its import fails where it runs."""
    (importable / "broken.py").write_text("def (")
    assert [module.source for module in Sources(["broken"]).modules] == ["def ("]


def test_imports_in_a_function_s_body_are_found_at_any_depth() -> None:
    """Relative imports are made absolute."""

    def f() -> None:
        import json.decoder  # noqa: F401
        from email import message, policy  # noqa: F401

        def inner() -> None:
            from xml.etree import ElementTree  # noqa: F401

        class Inner:
            import csv

    names = set(imported_names(f.__code__, ""))
    assert {
        "json.decoder",
        "email.message",
        "email.policy",
        "xml.etree",
        "xml.etree.ElementTree",
        "csv",
    } <= names
    relative = compile(
        "from . import a\nfrom ..b import c\nfrom ...d.e import *\nfrom .. import g", "f", "exec"
    )
    assert set(imported_names(relative, "p.q.r")) == {
        "p.q.r",
        "p.q.r.a",
        "p.q.b",
        "p.q.b.c",
        "p.d.e",
        "p.q",
        "p.q.g",
    }


def test_a_path_through_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    """A link into site-packages is site-packages."""
    (tmp_path / "site-packages").mkdir()
    os.symlink(tmp_path / "site-packages", tmp_path / "link")
    assert not locations._is_project_path(str(tmp_path / "link" / "module.py"))
    assert locations._is_project_path(str(tmp_path / "module.py"))


def test_a_loop_checks_files_less_often_if_a_check_takes_long(
    importable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (importable / "one.py").write_text("x = 1")
    sources = Sources(["one"])
    now = [clock.monotonic() + 1]
    checked: list[str] = []

    def slow_stamp(filename: str) -> object:
        checked.append(filename)
        now[0] += 0.005
        return stamp(filename)

    monkeypatch.setattr(project_modules, "stamp", slow_stamp)
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    for later, checks in [(0.0, 1), (0.05, 1), (0.06, 2)]:
        now[0] += later
        assert sources.is_fresh(within=0.01)
        assert len(checked) == checks
    assert sources.is_fresh()
    assert len(checked) == 3


def test_a_clock_that_a_test_has_stopped_hides_no_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long ago files were looked at is measured by a clock that no test can set."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "edited_meanwhile.py").write_text("VALUE = 1")
    with mock.patch("time.monotonic", return_value=0.0):
        sources = Sources(["edited_meanwhile"])
        (tmp_path / "edited_meanwhile.py").write_text("VALUE = 10")
        deadline = time.time() + 10
        while sources.is_fresh(within=0.01):
            assert time.time() < deadline
