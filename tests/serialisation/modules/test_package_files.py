"""Which files of a package travel."""

import os
import zipfile
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from distribute_challenge.serialisation.modules import package_files, zipped
from distribute_challenge.serialisation.modules.package_files import PackageFiles


def write(folder: Path, *names: str, size: int = 3) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))


def contents(folder: Path, sources: frozenset[str] = frozenset()) -> dict[str, bytes | None]:
    listing = PackageFiles([str(folder)], sources).listings[str(folder)]
    return {name: content for name, _, _, content in listing}


def test_data_and_modules_of_all_subfolders_travel(tmp_path: Path) -> None:
    """What travels as a module already is listed only."""
    write(tmp_path, "a.txt", "deep/er/b.csv", "deep/plug.py", "sent.py")
    assert contents(tmp_path, frozenset([str(tmp_path / "sent.py")])) == {
        "a.txt": bytes(3),
        "deep/er/b.csv": bytes(3),
        "deep/plug.py": bytes(3),
        "sent.py": None,
    }


def test_files_that_are_not_part_of_a_package_are_not_listed(tmp_path: Path) -> None:
    """Hidden files, caches, environments, what is installed or compiled, and what is no file."""
    write(
        tmp_path,
        "a.txt",
        ".env",
        ".git/x",
        "__pycache__/a.pyc",
        "node_modules/x",
        "venv/pyvenv.cfg",
        "venv/x",
    )
    write(tmp_path, "lib/site-packages/x", "old.pyc", f"fast{EXTENSION_SUFFIXES[0]}")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert list(contents(tmp_path)) == ["a.txt"]


def test_links_are_followed_and_end(tmp_path: Path) -> None:
    """A folder that a link leads back to is looked at once."""
    write(tmp_path, "package/a.txt", "elsewhere/b.txt")
    (tmp_path / "package" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "package")
    found = contents(tmp_path / "package")
    assert {"a.txt", "link/b.txt"} <= found.keys()
    assert len(found) <= 3


def test_files_above_the_size_limits_are_listed_without_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has one, and all together; small files go first."""
    for size in (10, 20, 30, 40):
        write(tmp_path, f"{size}", size=size)
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_DATA_FILE_LIMIT", "30")
    assert [name for name, content in contents(tmp_path).items() if content is None] == ["40"]
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_DATA_LIMIT", "59")
    assert [name for name, content in contents(tmp_path).items() if content is None] == ["30", "40"]


def test_only_a_limited_number_of_files_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no package's."""
    monkeypatch.setattr(package_files, "MOST_FILES", 2)
    write(tmp_path, "a", "b", "c")
    assert list(contents(tmp_path)) == ["a", "b"]


def test_an_unreadable_file_has_no_content_and_an_unreadable_folder_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, and a folder."""
    write(tmp_path, "a.txt", "closed/b.txt")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(zipped, "read", refuse)
        assert contents(tmp_path) == {"a.txt": None, "closed/b.txt": None}
    monkeypatch.setattr(os, "scandir", refuse)
    assert contents(tmp_path) == {}


def test_files_are_fresh_until_one_changes_comes_or_goes(
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look that took long is not repeated at once."""
    write(tmp_path, "a.txt")
    for change in (
        lambda: write(tmp_path, "b.txt"),
        lambda: write(tmp_path, "a.txt", size=4),
        (tmp_path / "b.txt").unlink,
    ):
        files = PackageFiles([str(tmp_path)], frozenset())
        assert files.is_fresh()
        change()
        eventually(lambda files=files: not files.is_fresh())  # type: ignore[misc]
    monkeypatch.setattr(package_files, "PAUSE", 1e9)
    monkeypatch.setattr(package_files, "LONGEST_PAUSE", 1e9)
    files = PackageFiles([str(tmp_path)], frozenset())
    write(tmp_path, "c.txt")
    assert files.is_fresh()


def test_members_of_an_archive_are_files_too(tmp_path: Path) -> None:
    """The same rules hold for a folder in an archive."""
    archive = tmp_path / "app.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        file.mkdir("shop") if hasattr(file, "mkdir") else None
        for name in (
            "shop/a.txt",
            "shop/.hidden",
            "shop/.git/x",
            "shop/old.pyc",
            "shop/sub/b.txt",
            "shopping/c.txt",
        ):
            file.writestr(name, b"123")
    assert contents(archive / "shop") == {"a.txt": b"123", "sub/b.txt": b"123"}
    archive.write_bytes(b"no archive any more")
    assert contents(archive / "shop") == {}
    assert contents(tmp_path / "nothing") == {}


def test_a_file_that_no_archive_holds_is_not_found(tmp_path: Path) -> None:
    """A folder gives the same error."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("b", "")
    write(tmp_path, "plain")
    assert zipped.read(str(tmp_path / "a.zip" / "b")) == b""
    for path in ("a.zip/c", "plain/c", "nothing/c"):
        with pytest.raises(FileNotFoundError, match="c"):
            zipped.read(str(tmp_path / path))
    assert zipped.archive_of("no/such/folder") is None
