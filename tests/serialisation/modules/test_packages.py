"""Packages of a project keep their shape on workers, with and without the project's files."""

import ast
import pickle
import shutil
import textwrap
import zipapp
from importlib.util import find_spec
from typing import Any

import pytest

from distribute_challenge.core.messages import Reply
from distribute_challenge.core.outcome import Failure
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.elsewhere import Client, Worker

pytestmark = pytest.mark.slow

READING = """
    import importlib, json, os, pkgutil, sys
    from importlib import resources
    from shop import base

    def by_file():
        with open(os.path.join(os.path.dirname(__file__), "prices.txt")) as file:
            return file.read()
    def everything(in_archive=False):
        import shop, shop.plugins
        found = {} if in_archive else {"file": by_file()}
        root = resources.files("shop")
        found["files"] = root.joinpath("prices.txt").read_text()
        found["folder"] = (root / "templates" / "hello.txt").read_text()
        if not in_archive:
            found["no package"] = (resources.files("shop.templates") / "hello.txt").read_text()
        found["subpackage"] = json.loads(resources.files("shop.sub").joinpath("rates.json").read_text())
        with resources.as_file(root / "prices.txt") as path:
            found["as_file"] = path.read_text()
        found["get_data"] = pkgutil.get_data("shop", "templates/hello.txt")
        found["plugins"] = [info.name for info in pkgutil.iter_modules(shop.plugins.__path__)]
        found["walked"] = sorted(info.name for info in pkgutil.walk_packages(shop.__path__, "shop."))
        found["absolute"] = importlib.import_module("shop.plugins.red").colour()
        found["relative"] = importlib.import_module(".blue", "shop.plugins").colour()
        found["same base"] = sys.modules["shop.plugins.red"].base is base
        return found
"""
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


@pytest.fixture
def shop(project: Client) -> Client:
    """A project with a package that has data and plug-ins."""
    project.package("shop", "shop.sub", "shop.plugins")
    project.write(
        shop__reading=READING,
        shop__base="NAME = 'base'",
        shop__plugins__red="from shop import base\ndef colour(): return 'red of ' + base.NAME",
        shop__plugins__blue="from ..base import NAME\ndef colour(): return 'blue of ' + NAME",
    )
    (project.folder / "shop" / "templates").mkdir()
    (project.folder / "shop" / "templates" / "hello.txt").write_text("hello")
    (project.folder / "shop" / "prices.txt").write_text("42")
    (project.folder / "shop" / "sub" / "rates.json").write_text("[1, 2]")
    return project


def failure(outcome: Any, kind: type[BaseException]) -> str:
    """The text and notes of a failed call's error."""
    assert isinstance(outcome, Failure), outcome
    assert isinstance(outcome.error, kind), outcome.error
    return "\n".join([str(outcome.error), *getattr(outcome.error, "__notes__", [])])


def test_a_package_has_its_data_and_plug_ins_where_nothing_of_it_lies(shop: Client) -> None:
    """They have travelled."""
    found = shop.run_far("""
        from shop.reading import everything
        compute_this(everything)().compute(backend=far)
    """)
    assert found == EVERYTHING


@pytest.mark.parametrize("backend", ["backend", "'processes'", "'celery'"])
def test_a_package_has_its_data_and_plug_ins_on_this_machine(shop: Client, backend: str) -> None:
    """They stay where they lie."""
    out = shop.run(f"""
        from shop.reading import everything
        print(compute_this(everything)().compute(backend={backend}))
    """)
    assert out == repr(EVERYTHING)


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
def test_a_compiled_module_is_found_where_it_lies(project: Client, backend: str) -> None:
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


def test_an_archive_that_changes_is_read_anew(project: Client) -> None:
    """An archive that is gone is an error of the modules in it."""
    project.folder.mkdir()
    out = project.run("""
        import sys, zipfile
        def pack(value):
            with zipfile.ZipFile("modules.zip", "w") as archive:
                archive.writestr("packed.py", f"def f(): return {value}")
        pack(1)
        sys.path.insert(0, "modules.zip")
        from packed import f
        print(compute_this(f)().compute(backend=backend))
        pack(22)
        print(compute_this(f)().compute(backend=backend))
        with open("modules.zip", "w") as file:
            file.write("no archive any more")
        try:
            compute_this(f)().compute(backend=backend)
        except ImportError as error:
            print("packed" in str(error), "modules.zip" in str(error))
    """)
    assert out.splitlines() == ["1", "22", "True True"]


def test_a_module_whose_file_is_gone_harms_only_the_import_that_needs_it(project: Client) -> None:
    """So does a module that cannot be decoded or parsed. The error names module and file."""
    project.package("app")
    project.write(
        app__main="""
            def fine(): return 1
            def needs(name):
                import importlib
                return importlib.import_module(name).x
            def near():
                import app.gone, app.cookie, app.broken, app.folder
        """,
        app__gone="x = 1",
        app__cookie="x = 1",
        app__broken="x = 1",
        app__folder="x = 1",
    )
    out = project.run("""
        import os, shutil
        import app.main, app.gone, app.cookie, app.broken, app.folder
        os.unlink("app/gone.py")
        open("app/cookie.py", "w").write("# coding: no-such-thing\\nx = 1")
        open("app/broken.py", "w").write("x = (")
        os.unlink("app/folder.py")
        os.mkdir("app/folder.py")
        for engine in (backend, "processes"):
            print(compute_this(app.main.fine)().compute(backend=engine))
            for name in "gone", "cookie", "broken", "folder":
                try:
                    compute_this(app.main.needs)(f"app.{name}").compute(backend=engine)
                except (ImportError, SyntaxError) as error:
                    text = str(error) + str(error.filename if type(error) is SyntaxError else "")
                    print(type(error).__name__, f"app.{name}" in text, f"app/{name}.py" in text)
    """)
    answers = [
        "1",
        "ImportError True True",
        "ImportError True True",
        "SyntaxError False True",
        "ImportError True True",
    ]
    assert out.splitlines() == 2 * answers


def test_a_source_that_python_still_has_travels_although_its_file_is_gone(project: Client) -> None:
    """The cache of tracebacks or the module's loader has it."""
    project.write(shown="def f(): return 1")
    out = project.run("""
        import importlib.util, inspect, os, sys
        import shown
        inspect.getsource(shown)
        os.unlink("shown.py")
        class Loader:
            def __init__(self, source): self.source = source
            def create_module(self, spec): return None
            def exec_module(self, module): exec("def f(): return 2", vars(module))
            def get_source(self, name): return self.source
        def load(name, source):
            place = os.path.abspath(f"{name}.py")
            spec = importlib.util.spec_from_file_location(name, place, loader=Loader(source))
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
            return sys.modules[name].f
        remade, unknown = load("remade", "def f(): return 2"), load("unknown", None)
        print(compute_this(shown.f)().compute(backend=backend), compute_this(remade)().compute(backend=backend))
        try:
            compute_this(unknown)().compute(backend=backend)
        except ImportError as error:
            print(error)
    """)
    values, error = out.splitlines()
    assert values == "1 2"
    assert "the source of unknown did not travel: the client could not read" in error


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


@pytest.mark.parametrize("backend", ["backend", "'processes'"])
def test_plug_ins_have_versions_like_all_modules(project: Client, backend: str) -> None:
    """An edit of one, or of its imports, counts from the next call on. Without, it stays loaded."""
    project.package("app", "app.plugins")
    project.write(
        app__main="""
            import importlib
            from app import base
            def f(): return importlib.import_module("app.plugins.red").f()
            def g():
                import app.other
                return f()
        """,
        app__base="VALUE = 1",
        app__other="",
        app__plugins__red="""
            from app import base
            from . import helping
            from app import base as same
            calls = []
            def f():
                calls.append(1)
                return base.VALUE, helping.VALUE, len(calls)
        """,
        app__plugins__helping="VALUE = 10",
    )
    out = project.run(f"""
        from pathlib import Path
        from app.main import f, g
        engine = {backend}
        if engine == "processes":
            from distribute_challenge.execution_backends.pools import ProcessesExecutionBackend
            engine = ProcessesExecutionBackend(1)
        def ask(function=f):
            print(*compute_this(function)().compute(backend=engine))
        ask(); ask(); ask(g); ask()
        Path("app/plugins/helping.py").write_text("VALUE = 200")
        ask(); ask()
        Path("app/base.py").write_text("VALUE = 33")
        ask()
        Path("app/base.py").write_text("VALUE = 1")
        Path("app/plugins/helping.py").write_text("VALUE = 10")
        ask()
    """)
    assert out.splitlines() == [
        "1 10 1",
        "1 10 2",
        "1 10 3",
        "1 10 4",
        "1 200 1",
        "1 200 2",
        "33 200 1",
        "1 10 5",
    ]


def test_data_that_changes_is_new_in_the_copy(shop: Client) -> None:
    """The package's modules stay. Removed files are removed in the copy, too."""
    shop.write(
        shop__counting="""
            import os, pathlib
            calls = []
            def f():
                calls.append(1)
                folder = pathlib.Path(__file__).parent
                return (folder / "prices.txt").read_text(), len(calls), os.path.exists(folder / "templates/hello.txt")
        """
    )
    requests = []
    for change in ("", "43", "44"):
        if change:
            (shop.folder / "shop" / "prices.txt").write_text(change)
        if change == "44":
            (shop.folder / "shop" / "templates" / "hello.txt").unlink()
        shop.run("""
            from shop.counting import f
            compute_this(f)().compute(backend=Keep("request"))
        """)
        requests.append((shop.folder / "request").read_bytes())
    shutil.rmtree(shop.folder)
    assert outcomes_of_all([*requests, requests[0]]) == [
        ("42", 1, True),
        ("43", 2, True),
        ("44", 3, False),
        ("42", 4, True),
    ]


def outcomes_of_all(requests: list[bytes]) -> list[Any]:
    worker = Worker()
    frames = [frame for request in requests for frame in worker.perform(pickle.loads(request))]
    worker.close()
    return [outcome for frame in frames for outcome in decode_outcomes(Reply.decode(frame))]


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
