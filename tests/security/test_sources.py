"""Where a secret is looked for."""

import os
from pathlib import Path

import pytest

from distribute_challenge import settings
from distribute_challenge.errors import SecretError
from distribute_challenge.security import SECRET_FILE, Keyring, keyring_for, new_secret

URL = "redis://user:hunter2@example.org:6379/0"
SECRETS = {name: new_secret() for name in ("beside", "variable", "file")}


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SECRET", "SECRET_FILE", "INSECURE", "ENCRYPT"):
        monkeypatch.delenv(f"DISTRIBUTE_CHALLENGE_{name}", raising=False)
    return monkeypatch


def write(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """An embedded cluster's folder, as far as its secret goes."""
    folder = tmp_path / "cluster"
    folder.mkdir(mode=0o700)
    write(folder / SECRET_FILE, SECRETS["beside"])
    return folder


def test_the_first_source_of_a_secret_takes_precedence(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file beside the socket, the variable, the file that a variable names, insecurity."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET", f" {SECRETS['variable']}\n")
    monkeypatch.setenv(
        "DISTRIBUTE_CHALLENGE_SECRET_FILE", str(write(tmp_path / "file", SECRETS["file"] + "\n"))
    )
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_INSECURE", "1")
    socket = f"redis+socket://{private}/redis.sock"

    def identity(url: str) -> str:
        return keyring_for(url).identity

    assert identity(socket) == Keyring(SECRETS["beside"]).identity
    assert identity(URL) == Keyring(SECRETS["variable"]).identity
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_SECRET")
    assert identity(URL) == Keyring(SECRETS["file"]).identity
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_SECRET_FILE")
    assert identity(URL) == Keyring.insecure().identity
    assert identity(socket) == Keyring(SECRETS["beside"]).identity
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_INSECURE")
    assert identity(socket) == Keyring(SECRETS["beside"]).identity


def test_no_secret_is_an_error_with_the_line_to_write() -> None:
    """The error does not show the password."""
    with pytest.raises(SecretError) as caught:
        keyring_for(URL)
    text = str(caught.value)
    for word in (
        "***@example.org",
        "`distribute-challenge secret`",
        "DISTRIBUTE_CHALLENGE_SECRET",
        "_INSECURE=1",
    ):
        assert word in text
    assert "hunter2" not in text


@pytest.mark.parametrize("trouble", ["others may enter", "no file", "no folder"])
def test_the_secret_beside_a_socket_is_used_only_if_its_folder_is_private(
    private: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise any user may have put a secret there, or the user runs a Redis of their own."""
    if trouble == "others may enter":
        private.chmod(0o750)
    elif trouble == "no file":
        (private / SECRET_FILE).unlink()
    else:
        private = private / "gone"
    url = f"redis+socket://{private}/redis.sock"
    with pytest.raises(SecretError, match="needs a secret"):
        keyring_for(url)
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET", SECRETS["variable"])
    assert keyring_for(url).identity == Keyring(SECRETS["variable"]).identity


def test_a_folder_of_another_user_does_not_count(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SecretError, match="needs a secret"):
        keyring_for(f"redis+socket://{private}/redis.sock")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o444, 0o644])
def test_a_file_that_others_can_read_is_refused(
    tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the command that mends it."""
    path = write(tmp_path / "file", SECRETS["file"], mode)
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET_FILE", str(path))
    with pytest.raises(SecretError, match=rf"\(mode {mode:04o}\): chmod 600 {path}"):
        keyring_for(URL)


def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not there, or holds something other than text, or too little of it."""
    path = tmp_path / "file"
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET_FILE", str(path))
    with pytest.raises(SecretError, match=f"{path} cannot be read: No such file"):
        keyring_for(URL)
    write(path, b"\xff" * 40)
    with pytest.raises(SecretError, match=f"{path} holds no text"):
        keyring_for(URL)
    write(path, "short")
    with pytest.raises(SecretError, match="has 5 characters"):
        keyring_for(URL)


def test_encryption_applies_to_secrets_of_every_source(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not for clusters whose user wants no security."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_ENCRYPT", "1")
    assert keyring_for(f"redis+socket://{private}/redis.sock").encrypts
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET", SECRETS["variable"])
    assert keyring_for(URL).encrypts
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_SECRET")
    monkeypatch.setenv(
        "DISTRIBUTE_CHALLENGE_SECRET_FILE", str(write(tmp_path / "file", SECRETS["file"]))
    )
    assert keyring_for(URL).encrypts
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_SECRET_FILE")
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_INSECURE", "1")
    assert not keyring_for(URL).encrypts


@pytest.mark.parametrize("name", ["INSECURE", "ENCRYPT"])
@pytest.mark.parametrize("text", ["yes", "2", "true"])
def test_a_switch_is_0_or_1(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing mistake must not make a cluster insecure."""
    monkeypatch.setenv(f"DISTRIBUTE_CHALLENGE_{name}", text)
    with pytest.raises(ValueError, match=f"set DISTRIBUTE_CHALLENGE_{name}=1, or leave it out"):
        keyring_for(URL)
    monkeypatch.setenv(f"DISTRIBUTE_CHALLENGE_{name}", "0")
    with pytest.raises(SecretError):
        keyring_for(URL)


def test_settings_return_the_secret_and_switches_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They say nothing at first."""
    assert settings.secret() is None
    assert settings.secret_file() is None
    assert not settings.insecure()
    assert not settings.encrypt()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET", " text ")
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET_FILE", " a file ")
    assert settings.secret() == "text"
    assert settings.secret_file() == Path("a file")
