"""The embedded cluster for real: who can reach it, and scripts that use it."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.cluster import embedded, supervisor
from tests.cluster.embedded import SQUARE, folder_of, linux_only, unmeasured
from tests.processes import PATIENCE, environment, mentioning, script, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]


# --- who can reach it


@unmeasured
def test_the_folder_is_private_to_the_user_and_no_network_port_is_opened(
    one_worker: LocalCluster,
) -> None:
    folder = folder_of(one_worker)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == os.getuid()
    assert compute_this(len)("abc").compute() == 3
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "redis.sock"))
        for option, value in ((b"port", b"0"), (b"tls-port", b"0"), (b"unixsocketperm", b"700")):
            connection.sendall(b"CONFIG GET " + option + b"\r\n")
            answer = connection.recv(1000).split()
            assert answer[-1] == value or answer == [b"*0"]
    if supervisor.LINUX:
        assert listening(list(mentioning(folder.name))) == []


def listening(pids: list[int]) -> list[str]:
    """TCP sockets of some processes that listen, as lines of the kernel's tables."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(descriptor))
            except OSError:
                continue  # Closed meanwhile.
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    lines = [
        line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]
    ]
    return [
        line
        for line in lines
        if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in inodes
    ]


@linux_only
def test_the_helper_that_lists_listening_ports_finds_an_open_port() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert len(listening([os.getpid()])) >= 1


@unmeasured
def test_variables_of_the_environment_are_on_no_command_line(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """Every user of the machine can read those."""
    clean_environment.setenv("DATABASE_PASSWORD", "hunter2-secret")
    with LocalCluster(workers=1):
        assert compute_this(os.getenv)("DATABASE_PASSWORD").compute() == "hunter2-secret"
        assert mentioning("hunter2-secret") == {}


# A socket's path has a limit, in bytes, and some names are no part of a URL.
UNFIT = ["ü" * 60, "long" * 20, "50%#1?@", "one;two"]


@unmeasured
@pytest.mark.parametrize("name", ["with a space", UNFIT[0], UNFIT[2]])
def test_the_cluster_starts_with_any_temporary_folder_and_uses_tmp_for_unfit_names(
    name: str, short: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    """If its name is too long for a socket's path, or no part of a URL, the cluster uses /tmp."""
    (short / name).mkdir()
    clean_environment.setattr(tempfile, "tempdir", str(short / name))
    with LocalCluster(workers=1) as cluster:
        expected = short / name if name == "with a space" else Path("/tmp")
        assert folder_of(cluster).parent == expected
        assert compute_this(len)("abc").compute() == 3
        folder = folder_of(cluster)
    assert not folder.exists()


@pytest.mark.parametrize("name", UNFIT)
def test_folders_that_are_unfit_are_not_used(
    name: str, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(short / name))
    assert embedded._private_folder().parent == Path("/tmp")


# --- scripts


@unmeasured
def test_two_scripts_at_once_do_not_disturb_each_other(short: Path) -> None:
    source = SQUARE + (
        """
    import sys, pathlib, time
    print(square(3).compute(), flush=True)
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    print(sum(square.map(range(int(sys.argv[1])))))
    """
    )
    with (
        script(source, short, "10", TMPDIR=str(short)) as one,
        script(source, short, "20", TMPDIR=str(short)) as two,
    ):
        one.wait_for("9\n")
        two.wait_for("9\n")
        assert len(list(short.glob("distribute_challenge-*"))) == 2
        (short / "go").touch()
        assert (one.wait(), two.wait()) == (0, 0)
        assert (one.output, two.output) == ("9\n285\n", "9\n2470\n")
    assert list(short.glob("distribute_challenge-*")) == []


@unmeasured
def test_a_script_on_standard_input_needs_no_file_and_no_guard(short: Path) -> None:
    source = "from distribute_challenge import compute_this\n\n@compute_this\ndef square(x):\n    return x * x\n\n"
    done = subprocess.run(
        [sys.executable, "-"],
        input=source + "print(square(3).compute(), __name__)\nprint(list(square.map(range(3))))\n",
        env=environment(TMPDIR=str(short)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("9 __main__\n[0, 1, 4]\n", 0), done.stderr


def test_calls_typed_at_the_python_prompt_give_their_values(short: Path) -> None:
    typed = """
from distribute_challenge import compute_this
factor = 2
@compute_this()
def times(x):
    return factor * x

times(2)
times(2).compute()
factor = 3
times(2).compute()
[double(4) for double in [compute_this(lambda x: 2 * x)]][0].compute()
"""
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=typed,
        env=environment(TMPDIR=str(short)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == "<Distributable times(2)>\n4\n6\n8\n", done.stderr
    assert list(short.iterdir()) == []


@unmeasured
def test_the_log_of_a_process_that_wrote_nothing_is_empty(one_worker: LocalCluster) -> None:
    assert one_worker._embedded.log("missing") == ""
    wait_until(lambda: "eady to accept connections" in one_worker._embedded.log("redis"))
