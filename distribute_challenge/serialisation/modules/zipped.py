"""Read files inside zip archives, which Python imports modules from as it does from folders.

A path such as ``/home/ann/app.pyz/shop/prices.txt`` names an archive and a member of it.
"""

import os

__all__ = ["archive_of", "members", "read"]


def archive_of(path: str) -> tuple[str, str] | None:
    """Return the archive that a path leads into, and the member's name; None if there is none.

    Examples:
        >>> archive_of(__file__ + "/shop/prices.txt")[1]
        'shop/prices.txt'
        >>> archive_of(__file__) is None
        True
    """
    archive, member = path, ""
    while not os.path.exists(archive):
        parent, name = os.path.split(archive)
        if parent == archive:
            return None
        archive, member = parent, f"{name}/{member}" if member else name
    return (archive, member) if member and os.path.isfile(archive) else None


def read(path: str) -> bytes:
    """Return the content of a file, which may be a member of an archive.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except NotADirectoryError:
        found = archive_of(path)
        assert found is not None  # Part of the path is a file.
        # Not read by the module's own loader, whose table of contents may be out of date.
        from zipfile import BadZipFile, ZipFile  # Imported here, because few programs need it.

        try:
            with ZipFile(found[0]) as archive:
                return archive.read(found[1])
        except (KeyError, BadZipFile) as error:
            raise FileNotFoundError(f"{path} cannot be read: {error}") from error


def members(folder: str) -> list[tuple[str, int]]:
    """Return the files below a folder of an archive: names relative to it, and sizes in bytes."""
    found = archive_of(folder)
    if found is None:
        return []
    from zipfile import BadZipFile, ZipFile  # As in `read`.

    try:
        with ZipFile(found[0]) as archive:
            entries = archive.infolist()
    except (OSError, BadZipFile):
        return []
    prefix = found[1] + "/"
    return [
        (entry.filename.removeprefix(prefix), entry.file_size)
        for entry in entries
        if entry.filename.startswith(prefix) and not entry.is_dir()
    ]
