"""Where a client's folders lie on a worker."""

import os
import pickle
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.core.messages import Reply
from distribute_challenge.serialisation.modules.folder_copies import FolderCopies, is_seen
from distribute_challenge.serialisation.modules.project_modules import ProjectModule, Sources
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.elsewhere import Client, Worker
from tests.forks import ended, fork

pytestmark = pytest.mark.slow

SCRIPT = """
    from shop.reading import f
    compute_this(f)().compute(backend=Keep("request"))
"""


@pytest.fixture
def request_of(project: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A call that reads a data file, whose client is gone; copies go into an empty folder."""
    project.package("shop")
    project.write(
        shop__reading="""
            from pathlib import Path
            def f(): return Path(__file__).with_name("data").read_text(), str(Path(__file__).parent)
        """
    )
    (project.folder / "shop" / "data").write_text("one")
    project.run(SCRIPT)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    return (project.folder / "request").read_bytes()


def ask(worker: Worker, request: bytes) -> tuple[str, str]:
    (frame,) = worker.perform(pickle.loads(request))
    (outcome,) = decode_outcomes(Reply.decode(frame))
    assert isinstance(outcome, tuple), outcome
    return outcome


def test_a_folder_is_used_in_place_while_all_its_files_are_the_same(
    project: Client, request_of: bytes
) -> None:
    """A call gets its files as they were when it was made, and then those of the next."""
    worker = Worker()
    place = project.folder / "shop"
    assert ask(worker, request_of) == ("one", str(place))
    (place / "data").write_text("three")
    text, folder = ask(
        worker, request_of
    )  # The same call: nothing says that the files are others now.
    assert folder == str(place)
    other = Worker()
    text, folder = ask(other, request_of)
    assert text == "one"
    assert folder != str(place)
    project.run(SCRIPT)
    assert ask(other, (project.folder / "request").read_bytes()) == ("three", str(place))
    assert ask(other, request_of)[0] == "one"
    worker.close()
    other.close()


def test_folder_copies_are_removed_at_the_end_of_their_process_or_by_the_next(
    project: Client, request_of: bytes
) -> None:
    """What a killed one leaves is removed by the next."""
    project.folder.rename(project.folder.with_name("away"))
    temporary = Path(os.environ["TMPDIR"])
    killed = Worker()
    text, folder = ask(killed, request_of)
    assert text == "one"
    assert Path(folder).stat().st_uid == os.getuid()
    assert not Path(folder).relative_to(temporary).parts[0].startswith(".")
    killed.kill()
    assert Path(folder).exists()
    worker = Worker()
    text, second = ask(worker, request_of)
    assert text == "one"
    assert not Path(folder).exists()
    worker.close()
    assert not Path(second).exists()


def test_a_compiled_module_counts_as_present_if_its_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies at the top of a project, where no package is."""
    filename = tmp_path / f"fast_and_seen{EXTENSION_SUFFIXES[0]}"
    filename.write_text("1")
    monkeypatch.syspath_prepend(tmp_path)
    (module,) = Sources(["fast_and_seen"], with_files=True).modules
    assert is_seen(module)
    filename.write_text("22")
    assert not is_seen(module)


def test_file_paths_are_translated_between_client_and_copy() -> None:
    """Others are where they are."""
    listing = (("data", 1, 4, b"data"),)
    package = ProjectModule(
        "p", "/client/p/__init__.py", True, "", (), ("/client/p",), (("/client/p", listing),)
    )
    copies = FolderCopies()
    copies.use([package])
    here = copies.here("/client/p/data")
    assert Path(here).read_bytes() == b"data"
    assert copies.at_client(here) == "/client/p/data"
    assert copies.here("/client/pp") == copies.at_client("/client/pp") == "/client/pp"
    assert copies.why_missing(here) is None
    assert copies.why_missing("/client/pp") is None
    gone = os.path.join(os.path.dirname(here), "gone")
    assert "gone is not among the files of p" in (copies.why_missing(gone) or "")


def test_copies_stay_when_a_fork_of_their_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not the fork's."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    registered: list[tuple[Any, ...]] = []
    monkeypatch.setattr("atexit.register", lambda *call: registered.append(call))
    copies = FolderCopies()
    package = ProjectModule(
        "q", "/client/q/__init__.py", True, "", (), ("/client/q",), (("/client/q", ()),)
    )
    copies.use([package])
    ((remove, *arguments),) = registered
    assert ended(fork(lambda: remove(*arguments))) == 0
    assert os.path.exists(copies.here("/client/q/__init__.py"))
    remove(*arguments)
    assert list(tmp_path.iterdir()) == []
