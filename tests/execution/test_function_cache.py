"""The cache of functions: which it keeps, and the modules that come with them."""

from typing import Any

import pytest

from distribute_challenge.execution import function_cache
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.serialisation import unpack_function
from distribute_challenge.serialisation.modules.project_importer import ProjectImporter
from tests.execution.batches import identity, invert, make_lock, payload_of


def test_functions_of_one_project_have_its_modules_in_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They share them in memory. The cache of modules is bounded."""
    payloads = {
        name: payload_of(function).payload
        for name, function in {"a": identity, "b": invert}.items()
    }
    importer = Activations()
    cache = FunctionCache(payloads.get, importer)  # type: ignore[arg-type]
    for digest in "aba":
        cache.load(digest)
    first, second, third = importer.activated
    assert first
    assert first is second is third
    monkeypatch.setattr(function_cache, "_KEPT_MODULES", 0)
    payloads["c"] = payloads["a"]
    cache.load("c")
    assert importer.activated[-1] == first
    assert importer.activated[-1] is not first


class Activations:
    """Stands for an importer: the modules are here."""

    def __init__(self) -> None:
        self.activated: list[Any] = []

    def activate(self, modules: Any) -> None:
        self.activated.append(modules)


def test_a_cache_keeps_the_functions_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fetches the others again."""
    monkeypatch.setattr(function_cache, "_KEPT_FUNCTIONS", 2)
    payloads = {
        name: payload_of(function).payload
        for name, function in {"a": identity, "b": invert, "c": make_lock}.items()
    }
    fetched: list[str] = []

    def fetch(digest: str) -> bytes:
        fetched.append(digest)
        return payloads[digest]

    cache = FunctionCache(fetch)
    for digest in "abacab":
        cache.load(digest)
    assert fetched == ["a", "b", "c", "b"]


def test_a_cache_makes_a_function_s_modules_active_each_time() -> None:
    """Another function's may be, in between."""
    active: list[list[str]] = []

    class Recorder(ProjectImporter):
        def activate(self, modules: Any) -> None:
            active.append([module.name for module in modules])

    payload = payload_of(identity).payload
    names = [module.name for module in unpack_function(payload).modules]
    cache = FunctionCache({"a": payload, "b": payload_of(len).payload}.get, Recorder())
    for digest in "aba":
        cache.load(digest)
    assert active == [names, [], names]
