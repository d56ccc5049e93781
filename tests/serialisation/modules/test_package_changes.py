"""Changes of a package between calls: modules, data and archives are new in the next call."""

import pickle
import shutil
from typing import Any

import pytest

from distribute_challenge.core.messages import Reply
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.elsewhere import Client, Worker

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("backend", ["backend", "'processes'"])
def test_edited_plug_ins_are_imported_anew_in_the_next_call(project: Client, backend: str) -> None:
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


def test_changed_data_files_are_updated_in_the_copy(shop: Client) -> None:
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
