"""Compiled modules of a project: found where they lie, or named as missing."""

import shutil
from importlib.util import find_spec

import pytest

from tests.elsewhere import Client
from tests.serialisation.modules.outcomes import failure

pytestmark = pytest.mark.slow


def add_compiled_module(project: Client, folder: str, name: str = "_heapq") -> None:
    """Copy a compiled module of Python's into a project, in the place of one of its own."""
    spec = find_spec(name)
    if spec is None or not spec.has_location:
        pytest.skip("this Python has no compiled module of its own in a file")  # pragma: no cover
    assert spec.origin is not None
    shutil.copy(spec.origin, project.folder / folder)


EARLY_AND_LATE = {
    "shop__early": "from shop._heapq import heapify\ndef f(values): heapify(values); return values[0]",
    "shop__late": """
        def f(values):
            from . import _heapq
            _heapq.heapify(values)
            return values[0]
    """,
}


@pytest.mark.parametrize("backend", ["backend", "'processes'", "'celery'"])
def test_a_compiled_module_of_a_project_is_imported_from_its_folder(
    project: Client, backend: str
) -> None:
    """The import may be in a package, at the top of a module or inside a function."""
    project.package("shop")
    project.write(**EARLY_AND_LATE)
    add_compiled_module(project, "shop")
    out = project.run(f"""
        from shop import early, late
        print(*[compute_this(m.f)([3, 1, 2]).compute(backend={backend}) for m in (early, late)])
    """)
    assert out == "1 1"


@pytest.mark.parametrize("module", ["early", "late"])
def test_a_compiled_module_that_is_not_on_the_worker_has_to_be_installed(
    project: Client, module: str
) -> None:
    """The error says so, and names its file."""
    project.package("shop")
    project.write(**EARLY_AND_LATE)
    add_compiled_module(project, "shop")
    outcome = project.run_far(f"""
        from shop import {module}
        compute_this({module}.f)([3, 1, 2]).compute(backend=far)
    """)
    text = failure(outcome, ImportError)
    assert "shop._heapq is a compiled module" in text
    assert "Install the package" in text


def test_a_compiled_module_is_imported_by_its_name_and_may_be_a_package(project: Client) -> None:
    """Each client's own, under the same name."""
    project.package("shop", "shop.plugins")
    project.write(
        shop__main="""
            import importlib
            def by_name():
                return importlib.import_module("shop.plugins._heapq").heappop([1])
            def package():
                import shop.packed._heapq
                return shop.packed._heapq.heappop([2]), len(shop.packed._heapq.__path__)
        """
    )
    add_compiled_module(project, "shop/plugins")
    packed = project.folder / "shop" / "packed" / "_heapq"
    packed.mkdir(parents=True)
    add_compiled_module(project, str(packed))
    (compiled,) = packed.iterdir()
    compiled.rename(packed / compiled.name.replace("_heapq", "__init__"))
    out = project.run("""
        from shop.main import by_name, package
        for function in by_name, package, by_name:
            print(compute_this(function)().compute(backend=backend))
    """)
    assert out.splitlines() == ["1", "(2, 1)", "1"]


def test_a_function_of_a_compiled_module_brings_its_name_along(project: Client) -> None:
    """A call is refused where that is not installed."""
    project.package("shop", "shop.inner")
    add_compiled_module(project, "shop/inner")
    script = """
        from shop.inner import _heapq
        print(compute_this(_heapq.heappop)([1, 2]).compute(backend={backend}))
    """
    assert project.run(script.format(backend="'processes'")) == "1"
    text = failure(project.run_far(script.format(backend="far")), ImportError)
    assert "shop.inner._heapq is a compiled module" in text
