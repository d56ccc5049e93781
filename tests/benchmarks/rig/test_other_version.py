"""A library that says that it is of another version."""

from pathlib import Path

from benchmarks.rig.other_version import OTHER_VERSION, other_version


def test_the_copy_of_another_version_is_made_once(tmp_path: Path) -> None:
    folder = other_version(tmp_path)
    file = folder / "distribute_challenge" / "version.py"
    assert f'__version__ = "{OTHER_VERSION}"' in file.read_text()
    made = file.stat()
    assert other_version(tmp_path) == folder
    assert file.stat() == made
