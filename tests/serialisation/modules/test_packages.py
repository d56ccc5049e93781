"""Packages of a project keep their shape on workers, with and without the project's files."""

import ast
import textwrap
import zipapp

import pytest

from tests.elsewhere import Client
from tests.serialisation.modules.outcomes import failure

pytestmark = pytest.mark.slow
EVERYTHING = {
    "file": "42",
    "files": "42",
    "folder": "hello",
    "no package": "hello",
    "subpackage": [1, 2],
    "as_file": "42",
    "get_data": b"hello",
    "plugins": ["blue", "red"],
    "walked": [
        "shop.base",
        "shop.plugins",
        "shop.plugins.blue",
        "shop.plugins.red",
        "shop.reading",
        "shop.sub",
    ],
    "absolute": "red of base",
    "relative": "blue of base",
    "same base": True,
}


def test_a_package_has_its_data_and_plug_ins_on_a_machine_without_its_files(shop: Client) -> None:
    """They have travelled."""
    found = shop.run_far("""
        from shop.reading import everything
        compute_this(everything)().compute(backend=far)
    """)
    assert found == EVERYTHING


@pytest.mark.parametrize("backend", ["backend", "'processes'", "'celery'"])
def test_a_package_on_the_same_machine_uses_its_files_in_place(shop: Client, backend: str) -> None:
    """They stay where they lie."""
    out = shop.run(f"""
        from shop.reading import everything
        print(compute_this(everything)().compute(backend={backend}))
    """)
    assert out == repr(EVERYTHING)


def test_a_file_above_the_limit_stays_and_the_error_names_it(
    shop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable that lets it travel, too."""
    (shop.folder / "shop" / "model.bin").write_bytes(bytes(2000))
    (shop.folder / "shop" / "larger.bin").write_bytes(bytes(3000))
    shop.write(
        shop__models="""
            import pathlib
            def size(name): return len((pathlib.Path(__file__).parent / name).read_bytes())
            def wrapped(name):
                try:
                    size(name)
                except OSError as error:
                    raise ValueError("no model") from error
        """
    )
    script = """
        from shop.models import {function}
        compute_this({function})("{name}").compute(backend=far)
    """
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_DATA_FILE_LIMIT", "1000")
    for function, kind in (("size", FileNotFoundError), ("wrapped", ValueError)):
        text = failure(shop.run_far(script.format(function=function, name="model.bin")), kind)
        assert "model.bin of shop stayed on the client's machine: with 2,000 bytes" in text
        assert "larger.bin, with 3,000 bytes" in text
        assert "DISTRIBUTE_CHALLENGE_DATA_FILE_LIMIT" in text
    text = failure(shop.run_far(script.format(function="size", name=".hidden")), OSError)
    assert ".hidden is not among the files of shop that came from the client" in text
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_DATA_FILE_LIMIT", "2000")
    assert shop.run_far(script.format(function="size", name="model.bin")) == 2000
    assert shop.run_far(script.format(function="size", name="prices.txt")) == 2


def test_a_package_in_an_archive_keeps_its_data(shop: Client) -> None:
    """A program packed by zipapp, where the archive lies and where it does not."""
    (shop.folder / "__main__.py").write_text(
        textwrap.dedent("""
            import os, sys
            from elsewhere import Keep, outcome_of
            from distribute_challenge import compute_this
            from shop.reading import everything
            if __name__ == "__main__":
                print(compute_this(everything)(in_archive=True).compute(backend="processes"))
                compute_this(everything)().compute(backend=Keep("request"))
                os.rename(sys.argv[0], "away.pyz")
                with open("request", "rb") as file:
                    print(outcome_of(file.read()))
        """)
    )
    archive = shop.folder.with_name("app.pyz")
    zipapp.create_archive(shop.folder, archive)
    out = Client(archive.parent).python("app.pyz")
    here, there = map(ast.literal_eval, out.splitlines())
    assert there == EVERYTHING
    not_in_archives = ("file", "no package")  # Python itself gives nothing of these there.
    assert here == {
        name: value for name, value in EVERYTHING.items() if name not in not_in_archives
    }


def test_a_call_inside_a_call_takes_the_modules_that_came_with_it(project: Client) -> None:
    """The client's files do not exist there."""
    project.package("app")
    project.write(
        app__nested="""
            from distribute_challenge import compute_this
            from app import helping
            @compute_this
            def inner(x): return helping.double(x)
            @compute_this
            def outer(x): return inner(x).compute()
        """,
        app__helping="def double(x): return 2 * x",
    )
    outcome = project.run_far("from app.nested import outer; outer(4).compute(backend=far)")
    assert outcome == 8


def test_packages_of_all_shapes_travel(project: Client) -> None:
    """In two folders, extended at run time, without __init__, behind a link, from a finder."""
    project.package("one.spread", "two.spread", "hidden_place.editable", "real.inner")
    project.write(
        one__spread__a="def f(): from spread import b, c; return b.x + c.x",
        two__spread__b="x = 1",
        three__c="x = 20",
        bare__deeper__still="""
            def f():
                import late_bare.inner.leaf
                return late_bare.inner.leaf.x
        """,
        late_bare__inner__leaf="x = 300",
        hidden_place__editable__use="x = 4000",
        real__inner__leaf="x = 50000",
        top="""
            import sys, types
            made = types.ModuleType("made")
            sys.modules["made"] = made
            sys.modules["odd"] = object()
            sys.modules["none"] = None
            bare = types.ModuleType("bare_module")
            del bare.__spec__
            sys.modules["bare_module"] = bare
            def f():
                from spread import a
                from bare.deeper import still
                from editable import use
                from linked.inner import leaf
                try:
                    import made, odd, none, bare_module
                except ImportError:
                    pass
                return a.f() + still.f() + use.x + leaf.x
        """,
    )
    (project.folder / "linked").symlink_to("real")
    (project.folder / "one" / "spread" / "__init__.py").write_text(
        "import pkgutil\n__path__ = pkgutil.extend_path(__path__, "
        "__name__)\n__path__.append('three')"
    )
    outcome = project.run_far("""
        import os, sys
        from importlib.machinery import PathFinder
        class Broken:
            def find_spec(self, name, path=None, target=None):
                raise RuntimeError(name)
        class Editable:
            @classmethod
            def find_spec(cls, name, path=None, target=None):
                if name == "editable":
                    return PathFinder.find_spec(name, [os.path.join(os.getcwd(), "hidden_place")])
        sys.meta_path[:] = [*sys.meta_path, Broken(), Editable]
        sys.path += ["one", "two"]
        import spread
        import top
        sys.path.remove("one")
        compute_this(top.f)().compute(backend=far)
    """)
    assert outcome == 54321


def test_a_module_run_by_its_name_finds_its_package(project: Client) -> None:
    """``python -m package.module``, with relative imports."""
    project.package("app", "app.deep")
    project.write(
        app__deep__script="""
            from elsewhere import Keep, outcome_of
            from distribute_challenge import compute_this
            from . import near
            from ..far import two
            import os, shutil
            @compute_this
            def f():
                from . import late
                return near.one(), two(), late.three(), near.text()
            if __name__ == "__main__":
                f().compute(backend=Keep("request"))
                os.rename("app", "away")
                with open("request", "rb") as file:
                    print(outcome_of(file.read()))
        """,
        app__deep__near="""
            from pathlib import Path
            def one(): return 1
            def text(): return Path(__file__).with_name("data.txt").read_text()
        """,
        app__deep__late="def three(): return 3",
        app__far="def two(): return 2",
    )
    (project.folder / "app" / "deep" / "data.txt").write_text("data")
    assert project.python("-m", "app.deep.script") == "(1, 2, 3, 'data')"


def test_a_file_beside_a_top_level_module_does_not_travel(project: Client) -> None:
    """What lies in a script's folder may be anything."""
    project.write(
        alone="""
            import os, pkgutil
            def by_loader(): return __loader__.get_data(os.path.join(os.path.dirname(__file__), "data"))
            def f(): return __loader__.is_package(__name__), __loader__.get_filename(__name__) == __file__
        """
    )
    (project.folder / "data").write_text("secret")
    script = "from alone import {0}; compute_this({0})().compute(backend=far)"
    failure(project.run_far(script.format("by_loader")), FileNotFoundError)
    assert b"secret" not in (project.folder / "request").read_bytes()
    assert project.run_far(script.format("f")) == (False, True)
