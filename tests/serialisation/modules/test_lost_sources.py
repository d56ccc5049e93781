"""Modules whose files are gone, or cannot be read any more."""

import pytest

from tests.elsewhere import Client

pytestmark = pytest.mark.slow


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


def test_a_source_cached_by_python_is_sent_although_its_file_is_missing(project: Client) -> None:
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
