"""``secret`` makes the secret and password of a new cluster, and hides them from other users."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from distribute_challenge.cli import main
from distribute_challenge.security import Keyring
from tests.cli.conftest import COMMAND
from tests.processes import PATIENCE, environment


def secret(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["secret", *arguments])


def values(text: str) -> dict[str, str]:
    """What an environment file sets. Each line has a comment above it."""
    lines = text.splitlines()
    assert all(line.startswith("# ") for line in lines[::2])
    return dict(line.split("=", 1) for line in lines[1::2])


def test_secret_prints_only_a_new_secret() -> None:
    """So that `$(distribute-challenge secret)` is one."""
    made = [secret().output for _ in range(3)]
    assert all(re.fullmatch(r"[\w-]{43}\n", text) for text in made)
    assert len({Keyring(text.strip()).identity for text in made}) == 3


def test_a_file_holds_what_compose_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "3")
    assert secret("--env", str(tmp_path / ".env")).exit_code == 0
    found = values((tmp_path / ".env").read_text())
    assert list(found) == [
        "DISTRIBUTE_CHALLENGE_SECRET",
        "REDIS_PASSWORD",
        "CELERY_BROKER_URL",
        "WORKERS",
    ]
    assert Keyring(found["DISTRIBUTE_CHALLENGE_SECRET"]).identity
    password = found["REDIS_PASSWORD"]
    # At home in a URL, a shell, Compose's file and Redis' without a quote.
    assert re.fullmatch(r"[\w-]{43}", password)
    assert password != found["DISTRIBUTE_CHALLENGE_SECRET"]
    assert found["CELERY_BROKER_URL"] == f"redis://:{password}@localhost:6379/0"
    assert found["WORKERS"] == "3"


@pytest.mark.parametrize("umask", [0o000, 0o277], ids=["lax", "strict"])
def test_the_written_file_is_private_and_the_output_shows_no_secret(
    umask: int, tmp_path: Path
) -> None:
    path = tmp_path / ".env"
    before = os.umask(umask)
    try:
        done = secret("--env", str(path))
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    assert done.output == f"wrote {path}, for you alone to read (mode 0600)\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(values(path.read_text())) == 4


@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_existing_env_file_or_link_target_is_not_overwritten(kind: str, tmp_path: Path) -> None:
    """So is the target of a link, which another user may have put there."""
    path, other = tmp_path / ".env", tmp_path / "other"
    other.write_text("precious")
    path.symlink_to(other) if kind == "link" else other.rename(path)
    done = secret("--env", str(path))
    assert done.exit_code == 1
    assert done.output.startswith(
        f"Error: {path} exists already, and programs that use the secret and the password in it"
    )
    assert path.read_text() == "precious"


def test_a_file_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    done = secret("--env", str(tmp_path / "nowhere" / ".env"))
    assert done.exit_code == 1
    assert (
        done.output
        == f"Error: cannot write {tmp_path / 'nowhere' / '.env'}: No such file or directory\n"
    )


def test_a_full_disk_is_an_error_and_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be in the way of the next attempt."""
    real = os.open
    # The kernel's own full disk, behind the name that was asked for.
    monkeypatch.setattr(
        os,
        "open",
        lambda path, *rest: (os.close(real(path, *rest)), real("/dev/full", os.O_WRONLY))[1],
    )
    done = secret("--env", str(tmp_path / ".env"))
    assert done.exit_code == 1
    assert done.output == f"Error: cannot write {tmp_path / '.env'}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_secret_loads_neither_celery_nor_redis() -> None:
    """It is there in a moment, and works before anything else is installed."""
    program = (
        "import sys\nfrom distribute_challenge.cli import main\nmain(['secret'], "
        "standalone_mode=False)\n"
        "assert not sys.modules.keys() & {'celery', 'kombu', 'redis', 'cryptography', "
        "'cloudpickle'}, sorted(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        timeout=PATIENCE,
        capture_output=True,
        check=True,
    )


def test_secret_runs_as_an_installed_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "secret", "--env", ".env"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / ".env").exists()
