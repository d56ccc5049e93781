"""The worker's end: modules from memory."""

import linecache
import sys
from collections.abc import Iterator

import pytest

from distribute_challenge.serialisation.imports import ProjectImporter
from distribute_challenge.serialisation.projects import ProjectModule


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
    filename = "" if source is None else f"/client/{name.replace('.', '/')}{'/__init__' if is_package else ''}.py"
    parent = name.rpartition(".")[0]
    return ProjectModule(name, filename, is_package, source, (*imports, *([parent] if parent else [])))


def test_an_active_module_can_be_imported(importer: ProjectImporter) -> None:
    """With its file name and package as at the client."""
    importer.activate([module("p", "", is_package=True), module("p.m", "x = __name__, __package__, __file__")])
    import p.m  # type: ignore[import-not-found]

    assert p.m.x == ("p.m", "p", "/client/p/m.py")


def test_a_package_without_source_is_importable(importer: ProjectImporter) -> None:
    """A namespace package is a name only."""
    importer.activate([module("n", None, is_package=True), module("n.m", "x = 1")])
    from n import m  # type: ignore[import-not-found]

    assert m.x == 1
    assert getattr(sys.modules["n"], "__file__", None) is None


def test_other_modules_are_left_to_the_ordinary_import(importer: ProjectImporter) -> None:
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


def test_an_edit_renews_every_module_that_depends_on_the_file(importer: ProjectImporter) -> None:
    """And leaves those that do not."""
    fixed = [module("top", "from low import x", "low"), module("apart", "runs = []")]
    importer.activate([*fixed, module("low", "x = 1")])
    import apart  # type: ignore[import-not-found]
    import top  # type: ignore[import-not-found]

    importer.activate([*fixed, module("low", "x = 2")])
    assert top.x == 1
    assert __import__("top").x == 2
    assert __import__("apart") is apart


def test_modules_that_import_each_other_have_a_version(importer: ProjectImporter) -> None:
    """A circle ends."""
    importer.activate([module("c1", "import c2\nx = 1", "c2"), module("c2", "import c1\ny = 2", "c1", "elsewhere")])
    assert __import__("c1").c2.y == 2


def test_a_submodule_brought_back_is_its_package_s_attribute_again(importer: ProjectImporter) -> None:
    """The package is shared by both versions of the submodule."""
    package = module("s", "", is_package=True)
    one, two = [package, module("s.m", "x = 1")], [package, module("s.m", "x = 2")]
    seen = []
    for version in (one, two, one, two):
        importer.activate(version)
        __import__("s.m")
        seen.append(sys.modules["s"].m.x)
    assert seen == [1, 2, 1, 2]


def test_a_module_of_the_same_name_on_the_worker_does_not_shadow_the_client_s(importer: ProjectImporter) -> None:
    """Also if it is imported already."""
    sys.modules["same"] = type(sys)("same")
    importer.activate([module("same", "x = 1")])
    assert __import__("same").x == 1


def test_what_is_no_longer_active_is_no_longer_importable(importer: ProjectImporter) -> None:
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


def test_a_loader_answers_what_tools_ask(importer: ProjectImporter) -> None:
    """`inspect.getsource` and friends."""
    importer.activate([module("asked", "x = 1", is_package=True)])
    spec = importer.find_spec("asked")
    assert spec is not None
    assert spec.loader is not None
    assert spec.loader.is_package("asked")  # type: ignore[attr-defined]
    assert spec.loader.get_source("asked") == "x = 1"  # type: ignore[attr-defined]


def test_a_failed_import_is_tried_again_by_the_next_call(importer: ProjectImporter) -> None:
    """Nothing half made stays."""
    importer.activate(
        [module("fails", "import sys\nif not hasattr(sys, 'may_import'): raise OSError('not yet')\nx = 1")]
    )
    with pytest.raises(OSError, match="not yet"):
        __import__("fails")
    sys.may_import = True  # type: ignore[attr-defined]
    try:
        assert __import__("fails").x == 1
    finally:
        del sys.may_import  # type: ignore[attr-defined]
