"""The worker's end: modules from memory."""

import importlib
import linecache
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest

from distribute_challenge.serialisation.modules import project_importer
from distribute_challenge.serialisation.modules.project_importer import (
    ProjectImporter,
    note_missing_file,
)
from distribute_challenge.serialisation.modules.project_modules import ProjectModule


@pytest.fixture
def importer() -> Iterator[ProjectImporter]:
    before = dict(sys.modules)
    importer = ProjectImporter()
    yield importer
    importer.activate([])
    if importer in sys.meta_path:
        sys.meta_path.remove(importer)
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def module(name: str, source: str | None, *imports: str, is_package: bool = False) -> ProjectModule:
    filename = (
        ""
        if source is None
        else f"/client/{name.replace('.', '/')}{'/__init__' if is_package else ''}.py"
    )
    parent = name.rpartition(".")[0]
    return ProjectModule(
        name, filename, is_package, source, (*imports, *([parent] if parent else []))
    )


def test_an_active_module_can_be_imported(importer: ProjectImporter) -> None:
    """It has the file name and package that it has at the client."""
    importer.activate(
        [module("p", "", is_package=True), module("p.m", "x = __name__, __package__, __file__")]
    )
    import p.m  # type: ignore[import-not-found]

    assert p.m.x == ("p.m", "p", "/client/p/m.py")


def test_a_package_without_source_is_importable(importer: ProjectImporter) -> None:
    """A namespace package is a name only."""
    importer.activate([module("n", None, is_package=True), module("n.m", "x = 1")])
    from n import m  # type: ignore[import-not-found]

    assert m.x == 1
    assert getattr(sys.modules["n"], "__file__", None) is None


def test_the_importer_does_not_find_modules_it_was_not_given(importer: ProjectImporter) -> None:
    """The importer answers for its own names alone."""
    importer.activate([module("p", "")])
    assert importer.find_spec("json") is None


def test_a_module_is_executed_once_for_each_version(importer: ProjectImporter) -> None:
    """What it holds stays while others come and go."""
    first, second = [module("v", "x = []")], [module("v", "x = [0, 0]")]
    lengths = []
    for version in (first, second, first, first, second):
        importer.activate(version)
        v = __import__("v")
        v.x.append(1)
        lengths.append(len(v.x))
    assert lengths == [1, 3, 2, 3, 4]


def test_modules_can_be_added_to_the_active_ones(importer: ProjectImporter) -> None:
    """What these have made can still be pickled. They go with the next call."""
    one, two = (
        [module("one", "x = []")],
        [module("two", "import one", "one"), module("one", "x = []")],
    )
    importer.activate(one)
    first = __import__("one")
    assert importer.add(two)
    assert sys.modules["one"] is first
    assert __import__("two").one is first
    assert importer.add(two)
    importer.activate(one)
    assert sys.modules["one"] is first
    assert "two" not in sys.modules


def test_modules_of_another_version_are_not_added(importer: ProjectImporter) -> None:
    importer.activate([module("one", "x = 1")])
    assert not importer.add([module("one", "x = 2"), module("two", "")])
    assert __import__("one").x == 1
    assert importer.find_spec("two") is None


def test_an_interrupted_switch_of_projects_is_repeated_without_new_execution(
    importer: ProjectImporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No module is executed once more: functions that were loaded refer to the first."""
    one, two = [module("one", "")], [module("two", "")]
    importer.activate(one)
    first = __import__("one")
    importer.activate(two)

    def interrupted(names: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importer, "_bring_back", interrupted)
        with pytest.raises(KeyboardInterrupt):
            importer.activate(one)
    importer.activate(one)
    assert sys.modules["one"] is first


def test_an_edit_renews_every_module_that_depends_on_the_file(importer: ProjectImporter) -> None:
    """It leaves the other modules."""
    fixed = [module("top", "from low import x", "low"), module("apart", "runs = []")]
    importer.activate([*fixed, module("low", "x = 1")])
    import apart  # type: ignore[import-not-found]
    import top  # type: ignore[import-not-found]

    importer.activate([*fixed, module("low", "x = 2")])
    assert top.x == 1
    assert __import__("top").x == 2
    assert __import__("apart") is apart


def test_modules_that_import_each_other_can_be_activated(importer: ProjectImporter) -> None:
    """A circle ends."""
    importer.activate(
        [
            module("c1", "import c2\nx = 1", "c2"),
            module("c2", "import c1\ny = 2", "c1", "elsewhere"),
        ]
    )
    assert __import__("c1").c2.y == 2


def test_an_edited_submodule_is_not_found_as_its_package_s_attribute(
    importer: ProjectImporter,
) -> None:
    """``from package import submodule`` looks there first."""
    package, user = module("r", "", is_package=True), module("r.u", "from . import m", "r.m")
    seen = []
    for number in (1, 2, 1):
        importer.activate([package, user, module("r.m", f"x = {number}")])
        seen.append(importlib.import_module("r.u").m.x)
    assert seen == [1, 2, 1]


def test_a_submodule_brought_back_is_its_package_s_attribute_again(
    importer: ProjectImporter,
) -> None:
    """The package is shared by both versions of the submodule."""
    package = module("s", "", is_package=True)
    one, two = [package, module("s.m", "x = 1")], [package, module("s.m", "x = 2")]
    seen = []
    for version in (one, two, one, two):
        importer.activate(version)
        __import__("s.m")
        seen.append(sys.modules["s"].m.x)
    assert seen == [1, 2, 1, 2]


def test_a_module_of_the_same_name_on_the_worker_does_not_shadow_the_client_s(
    importer: ProjectImporter,
) -> None:
    """It does not if it is imported already, either."""
    sys.modules["same"] = type(sys)("same")
    importer.activate([module("same", "x = 1")])
    assert __import__("same").x == 1


def test_a_module_that_is_no_longer_active_cannot_be_imported(importer: ProjectImporter) -> None:
    """A call sees its own client's modules alone."""
    importer.activate([module("gone", "")])
    __import__("gone")
    importer.activate([])
    with pytest.raises(ModuleNotFoundError):
        __import__("gone")


def test_a_traceback_shows_the_client_s_lines(importer: ProjectImporter) -> None:
    """Although no such file exists here, and in the latest version of it."""
    for number in (1, 2):
        importer.activate([module("lines", f"x = {number}\n")])
        __import__("lines")
        assert linecache.getline("/client/lines.py", 1) == f"x = {number}\n"


def test_the_loader_gives_source_and_package_status(importer: ProjectImporter) -> None:
    """`inspect.getsource` and friends."""
    importer.activate([module("asked", "x = 1", is_package=True)])
    spec = importer.find_spec("asked")
    assert spec is not None
    assert spec.loader is not None
    assert spec.loader.is_package("asked")  # type: ignore[attr-defined]
    assert spec.loader.get_source("asked") == "x = 1"  # type: ignore[attr-defined]


def test_a_failed_import_is_tried_again_by_the_next_call(importer: ProjectImporter) -> None:
    """No half-made module stays."""
    importer.activate(
        [
            module(
                "fails",
                "import sys\nif not hasattr(sys, 'may_import'): raise OSError('not yet')\nx = 1",
            )
        ]
    )
    with pytest.raises(OSError, match="not yet"):
        __import__("fails")
    sys.may_import = True  # type: ignore[attr-defined]
    try:
        assert __import__("fails").x == 1
    finally:
        del sys.may_import  # type: ignore[attr-defined]


def test_a_compiled_module_of_a_client_s_package_may_be_installed_here(
    importer: ProjectImporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its package is the client's all the same."""
    installed = tmp_path / "compiled_and_not"
    installed.mkdir()
    (installed / "__init__.py").write_text("x = 'installed'")
    (installed / "fast.py").write_text("y = 'installed'")  # Stands for machine code.
    monkeypatch.syspath_prepend(tmp_path)
    filename = f"/client/compiled_and_not/fast{EXTENSION_SUFFIXES[0]}"
    fast = ProjectModule("compiled_and_not.fast", filename, False, None, problem="compiled")
    importer.activate([module("compiled_and_not", "x = 'client'", is_package=True), fast])
    import compiled_and_not.fast  # type: ignore[import-not-found]

    assert (compiled_and_not.x, compiled_and_not.fast.y) == ("client", "installed")


def test_found_modules_are_not_looked_at_in_every_call(
    importer: ProjectImporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked at so seldom that it takes next to no time."""
    monkeypatch.setattr(project_importer, "PAUSE", 1000.0)
    (tmp_path / "by_name.py").write_text("x = 1")
    package = ProjectModule(
        "pausing", str(tmp_path / "__init__.py"), True, "", (), (str(tmp_path),)
    )
    modules = [package]
    importer.activate(modules)
    importlib.import_module("pausing.by_name")
    importer.activate(modules)
    (tmp_path / "by_name.py").write_text("x = 22")
    importer.activate(modules)
    assert importlib.import_module("pausing.by_name").x == 1


def test_a_found_compiled_module_is_removed_with_its_project(
    importer: ProjectImporter, tmp_path: Path
) -> None:
    """Its name may mean another file in the next."""
    spec = find_spec("_heapq")
    if spec is None or spec.origin is None or not spec.has_location:
        pytest.skip("this Python has no compiled module in a file")  # pragma: no cover
    shutil.copy(spec.origin, tmp_path)
    package = ProjectModule("going", str(tmp_path / "__init__.py"), True, "", (), (str(tmp_path),))
    importer.activate([package])
    importlib.import_module("going._heapq")
    importer.activate([module("other", "")])
    assert "going._heapq" not in sys.modules


def test_errors_unrelated_to_files_of_a_package_get_no_note(importer: ProjectImporter) -> None:
    """The error gets no note if no file of a package is missing."""
    importer.activate([module("noted", "", is_package=True)])
    for error in (FileNotFoundError(2, "No such file", "/nowhere"), ValueError("x"), OSError(5)):
        error.__context__ = error.__cause__ = FileNotFoundError(2, "No such file", 3)
        note_missing_file(error)
        assert not hasattr(error, "__notes__")


def test_a_module_already_loaded_from_the_same_source_is_kept(
    importer: ProjectImporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's models are loaded by `django.setup`, and may not be defined twice.

    A module that has another source is not kept.
    """
    monkeypatch.syspath_prepend(tmp_path)
    sources = {"kept_base": "VALUE = 1", "kept_user": "import kept_base", "kept_not": "VALUE = 1"}
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
        os.utime(tmp_path / f"{name}.py", (1, 1))

    def sent(name: str, source: str, *imports: str) -> ProjectModule:
        return ProjectModule(name, str(tmp_path / f"{name}.py"), False, source, imports)

    loaded = {name: importlib.import_module(name) for name in sources}
    first = [sent("kept_base", "VALUE = 1"), sent("kept_user", "import kept_base", "kept_base")]
    importer.activate([*first, sent("kept_not", "VALUE = 2")])
    assert importlib.import_module("kept_base") is loaded["kept_base"]
    assert importlib.import_module("kept_user") is loaded["kept_user"]
    assert importlib.import_module("kept_not").VALUE == 2
    importer.activate([sent("kept_base", "VALUE = 3"), first[1]])
    assert importlib.import_module("kept_user").kept_base.VALUE == 3
    importer.activate(first)
    assert importlib.import_module("kept_user") is loaded["kept_user"]
