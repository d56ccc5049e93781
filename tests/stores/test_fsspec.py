"""Values wherever fsspec reaches: here a folder, as all machines of a cluster may share one."""

import builtins
import errno
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.errors import BackendError, StoreFullError, SystemFailureError
from distribute_challenge.stores import FsspecStore, open_store
from distribute_challenge.stores import fsspec as fsspec_store
from tests.secret import KEYRING

DATA = memoryview(bytes(100_000))


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "cluster"


def client(shared: Path, name: str = "one") -> FsspecStore:
    return FsspecStore(f"file://{shared}/", name, KEYRING)


def names(shared: Path) -> list[str]:
    return sorted(os.listdir(shared))


def test_each_client_has_a_folder_and_a_lease(shared: Path) -> None:
    """At its end, the client removes both."""
    store = client(shared)
    store.put("a", DATA)
    assert names(shared) == ["distribute_challenge-one", "distribute_challenge-one.lease"]
    assert store.name == f"fsspec:file://{shared}/distribute_challenge-one"
    store.close()
    assert names(shared) == []


def test_files_of_a_killed_client_are_removed_after_its_lease(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next client removes it at its start. Live clients' files and other files stay."""
    living, dead, halfway = client(shared), client(shared, "dead"), client(shared, "halfway")
    for store in (living, dead, halfway):
        store.put("a", DATA)
    (shared / "distribute_challenge-dead.lease").write_text(
        str(time.time() - fsspec_store.LEASE - 1)
    )
    (shared / "distribute_challenge-halfway.lease").unlink()
    (shared / "thesis.lease").write_text("0")
    client(shared, "next").close()
    assert names(shared) == [
        "distribute_challenge-one",
        "distribute_challenge-one.lease",
        "thesis.lease",
    ]
    assert living.get("a", DATA.nbytes) == DATA


def test_a_living_client_renews_its_lease(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then; a worker does not."""
    store, lease = client(shared), shared / "distribute_challenge-one.lease"
    worker = open_store(store.name, KEYRING)
    assert worker is not None
    before = lease.read_text()
    store.renew([])
    assert lease.read_text() == before
    monkeypatch.setattr(fsspec_store, "RENEW_EVERY", 0)
    worker.renew([])
    assert lease.read_text() == before
    store.renew([])
    assert float(lease.read_text()) > float(before)


def test_deleting_and_closing_ignore_files_that_are_already_gone(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says nothing of it."""
    store = client(shared)
    for key in "ab":
        store.put(key, DATA)
    store.delete(["gone", "a", "b"])
    assert os.listdir(shared / "distribute_challenge-one") == []
    (shared / "distribute_challenge-one").rmdir()
    store.close()
    assert names(shared) == []
    assert caplog.text == ""


def test_errors_while_deleting_and_closing_are_logged(
    shared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that does it has other things to do."""
    store = client(shared)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the storage's own")

    monkeypatch.setattr(store._files, "rm", fail)
    with caplog.at_level(logging.WARNING, "distribute_challenge"):
        store.delete(["a"])
        store.close()
    assert caplog.text.count("cannot tidy up in file://") == 2
    assert "the storage's own" in caplog.text


def test_a_full_disk_is_an_error_that_says_what_to_do(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store leaves nothing of the value."""
    store = client(shared)
    real = store._files.open

    def opened(path: str, mode: str) -> Any:
        file = real(path, mode)

        def write(data: memoryview) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(file, "write", write, raising=False)
        return file

    monkeypatch.setattr(store._files, "open", opened)
    with pytest.raises(
        StoreFullError,
        match=r"cannot take a value of 100.0 kB: .*No space.*DISTRIBUTE_CHALLENGE_STORE",
    ):
        store.put("a", DATA)
    assert os.listdir(shared / "distribute_challenge-one") == []


def test_a_place_that_does_not_answer_is_named_without_its_password(shared: Path) -> None:
    """The error names the variable to look at."""
    shared.write_text("a file")
    with pytest.raises(
        SystemFailureError, match=r"cannot be written to: .*check DISTRIBUTE_CHALLENGE_STORE"
    ):
        client(shared)
    store = FsspecStore.attach(f"file://{shared}/folder", KEYRING)
    with pytest.raises(SystemFailureError, match="cannot give a value"):
        store.get("a", 1)
    store = FsspecStore.attach(f"file://user:secret@{shared}", KEYRING)
    with pytest.raises(SystemFailureError) as caught:
        store.put("a", DATA)
    assert "secret@" not in str(caught.value).partition(":")[0]


@pytest.mark.parametrize("on_worker", [False, True])
def test_a_missing_fsspec_package_is_an_error_with_the_pip_line(
    shared: Path, monkeypatch: pytest.MonkeyPatch, on_worker: bool
) -> None:
    """Client and worker name it."""
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "fsspec":
            raise ModuleNotFoundError("No module named 'fsspec'", name="fsspec")
        return real(name, *arguments)

    monkeypatch.delitem(sys.modules, "fsspec", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendError, match=r"No module named 'fsspec'\):\npip install fsspec"):
        _ = open_store(f"fsspec:file://{shared}", KEYRING) if on_worker else client(shared)


def test_a_missing_package_for_a_kind_of_storage_is_named_in_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """fsspec says which."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(BackendError, match=r"large values go to s3://bucket/.*s3fs"):
        FsspecStore("s3://bucket/prefix", "client", KEYRING)
