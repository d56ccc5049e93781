"""Where modules lie."""

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from distribute_challenge.serialisation.modules.locations import installed_spec, locate, location_of


class Gone:
    """The path of a package whose parent is gone."""

    def __iter__(self) -> Iterator[str]:
        raise KeyError("parent")


def test_a_name_that_is_not_a_module_has_no_location(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribute, a submodule of what is none, and what blocks an import."""
    monkeypatch.setitem(sys.modules, "blocked_module", None)
    monkeypatch.delitem(sys.modules, "json.tool", raising=False)
    for name in (
        "json.decoder.JSONDecoder",
        "json.tool.main",
        "winreg",
        "no_such_package.module",
        "blocked_module",
        "",
    ):
        assert locate(name) is None


def test_a_path_that_cannot_be_worked_out_is_empty() -> None:
    """The parent of a nested package may no longer be loaded."""
    spec = ModuleSpec("package", None, is_package=True)
    assert location_of(spec, Gone()).path == ()


def test_a_folder_in_a_package_that_is_not_loaded_is_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finding it imports nothing."""
    (tmp_path / "unloaded_package" / "inner").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    location = locate("unloaded_package.inner")
    assert location is not None
    assert location.path == (str(tmp_path / "unloaded_package" / "inner"),)
    assert "unloaded_package" not in sys.modules


def test_an_installed_module_is_found_without_importing_its_package() -> None:
    """A module that is not there is found missing in the same way."""
    spec = installed_spec("json.decoder")
    assert spec is not None
    assert spec.name == "json.decoder"
    assert installed_spec("json.no_such_module") is None
    assert installed_spec("no_such_package.module") is None
