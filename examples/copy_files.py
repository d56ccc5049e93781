"""Copy a folder of thousands of files, by 20 consumers from 5 queues, and verify each copy.

    python examples/copy_files.py                  # the files of the Python standard library
    python examples/copy_files.py SOURCE TARGET    # TARGET must not be there, or be empty

Each file is an item of a queue. A consumer copies it and returns its hash, by which the copy is
verified in the end. If a worker dies, its files are copied again by another one.
"""

import hashlib
import os
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from distribute_challenge import compute_this
from distribute_challenge.queues import QueuePool

QUEUES = 5
CONSUMERS = 20


class Copied(NamedTuple):
    """What a consumer says of a file."""

    path: str
    size: int
    digest: str
    seconds: float  # For reading and writing.


@compute_this(retries=2, retry_on=OSError)
def copy(item: tuple[str, str, str]) -> Copied:
    """Copy one file. This is what the consumers run."""
    source, target, path = item
    began = time.perf_counter()
    data = Path(source, path).read_bytes()
    copied = Path(target, path)
    copied.parent.mkdir(parents=True, exist_ok=True)
    # Under another name at first: a consumer that dies leaves no half of a file.
    part = copied.with_name(f"{copied.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(copied)
    seconds = time.perf_counter() - began
    return Copied(path, len(data), hashlib.sha256(data).hexdigest(), seconds)


def files_below(folder: Path) -> list[str]:
    """Return the files of a folder, by their paths in it."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "site-packages" not in path.parts and "__pycache__" not in path.parts
    )


def copy_all(source: Path, target: Path) -> None:
    paths = files_below(source)
    if not paths:
        sys.exit(f"no files below {source}")
    pool: QueuePool[tuple[str, str, str]] = QueuePool(QUEUES)
    began = time.perf_counter()
    with pool.consume(copy, CONSUMERS, results=True) as consumers:
        pool.put_many((str(source), str(target), path) for path in paths)
        put_seconds = time.perf_counter() - began
        copied = {file.path: file for file in consumers.results()}
    seconds = time.perf_counter() - began

    size = sum(file.size for file in copied.values())
    disk = sum(file.seconds for file in copied.values())
    print(f"{len(copied):,} files, {size / 1e6:,.1f} MB, from {QUEUES} queues")
    print(f"put into the queues  {put_seconds:6.2f} s")
    print(f"copied               {seconds:6.2f} s   {size / 1e6 / seconds:,.0f} MB/s")
    print(f"reading and writing  {disk:6.2f} s   in all consumers together")

    began = time.perf_counter()
    for item, error in pool.dead_letters():
        print(f"not copied: {item[2]}: {error}")
    for path in paths:
        file = copied.get(path)
        data = Path(target, path).read_bytes() if file else b""
        if file is None or hashlib.sha256(data).hexdigest() != file.digest:
            sys.exit(f"{path} is not copied, or differs")
    print(f"verified by hash     {time.perf_counter() - began:6.2f} s")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        folder = Path(sys.argv[2])
        if folder.exists() and any(folder.iterdir()):
            sys.exit(f"{folder} is not empty")
        copy_all(Path(sys.argv[1]).resolve(), folder.resolve())
    else:
        with tempfile.TemporaryDirectory() as folder_of_copies:
            copy_all(Path(sysconfig.get_path("stdlib")), Path(folder_of_copies))
