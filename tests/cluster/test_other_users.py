"""A process of another user tries to get into an embedded cluster in every way, and fails."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from distribute_challenge import LocalCluster, compute_this, put
from distribute_challenge.cluster import supervisor
from tests.docker_engine import in_ci
from tests.processes import PATIENCE, mentioning

pytestmark = [
    pytest.mark.celery,
    pytest.mark.skipif(not supervisor.LINUX, reason="reads what Linux shows of processes in /proc"),
    pytest.mark.slow,
]

NOBODY = 65534
SECRET = "what stands in this process's environment"

# Becomes another user, with nothing but the standard library, and says of each deed what came of
# it.
ATTEMPTS = """
import json, os, socket, sys

plan = json.load(sys.stdin)
if plan["user"] is not None:
    os.setgroups([])
    os.setgid(plan["user"])
    os.setuid(plan["user"])
    assert os.getresuid() == (plan["user"],) * 3

found = {}

def attempt(name, deed):
    try:
        found[name] = repr(deed())[:100]
    except OSError as error:
        found[name] = type(error).__name__

def connect(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b"PING\\r\\n")
        return connection.recv(100)

def read(path):
    with open(path, "rb") as file:
        return file.read(100_000)

def touch(path):
    with open(path, "ab"):
        return "touched"

folder = plan["folder"]
attempt("enter", lambda: os.chdir(folder))
attempt("list", lambda: os.listdir(folder))
attempt("connect", lambda: connect(folder + "/redis.sock"))
for name in plan["files"]:
    attempt("read " + name, lambda: read(folder + "/" + name))
attempt("write", lambda: touch(folder + "/new"))
attempt("list values", lambda: os.listdir(plan["store"]))
for value in plan["values"]:
    attempt("read a value", lambda: read(value))
    attempt("write to a value", lambda: touch(value))
attempt("add a value", lambda: touch(plan["store"] + "/new"))
for pid in plan["processes"]:
    attempt(f"environment of {pid}", lambda: read(f"/proc/{pid}/environ"))
    attempt(f"open files of {pid}", lambda: os.listdir(f"/proc/{pid}/fd"))
    attempt(f"memory of {pid}", lambda: touch(f"/proc/{pid}/mem"))
    attempt(f"signal to {pid}", lambda: os.kill(pid, 0))
print(json.dumps(found))
"""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in shared memory that all users may use, as all may use /dev/shm."""
    folder = Path(tempfile.mkdtemp(prefix="dc", dir="/dev/shm"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cluster(memory: Path, clean_environment: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    clean_environment.setenv("STUDY_PASSWORD", SECRET)
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(memory))
    with LocalCluster(workers=2) as cluster:
        yield cluster


def folder_of(cluster: LocalCluster) -> Path:
    return Path(urlsplit(cluster.broker_url).path).parent


def attempts(
    cluster: LocalCluster, memory: Path, *, user: int | None, prefix: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What comes of each attempt, made by another user, or None for our own."""
    folder = folder_of(cluster)
    values = [path for path in memory.rglob("*") if path.is_file()]
    (store,) = {path.parent for path in values}
    plan = {
        "user": user,
        "folder": str(folder),
        "files": [path.name for path in folder.iterdir() if path.is_file()],
        "store": str(store),
        "values": [str(path) for path in values],
        "processes": list(mentioning(folder.name)),
    }
    assert len(plan["processes"]) >= 4  # Supervisor, server, worker and its children.
    done = subprocess.run(
        [*prefix, sys.executable, "-c", ATTEMPTS],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def way_to_be_another() -> tuple[str, ...]:
    """What stands before a command that may change its user."""
    if os.geteuid() == 0:
        return ()
    sudo = ("sudo", "--non-interactive")
    try:
        subprocess.run([*sudo, "true"], capture_output=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        if in_ci():
            pytest.fail(f"cannot be another user here, and in CI that has to be tested: {error}")
        pytest.skip("only root can be another user")
    return sudo


@compute_this
def length(data: bytes) -> int:
    return len(data)


def test_another_user_cannot_access_socket_files_shared_memory_or_processes(
    cluster: LocalCluster, memory: Path
) -> None:
    """Socket, files, large values in shared memory, and what the kernel shows of processes."""
    prefix = way_to_be_another()
    value = put(b"large" * 100_000)
    assert length(value).compute(timeout=PATIENCE) == 500_000
    found = attempts(cluster, memory, user=NOBODY, prefix=prefix)
    assert {name: outcome for name, outcome in found.items() if outcome != "PermissionError"} == {}
    # Ourselves are let in: it is no fault of the attempts that they fail.
    own = attempts(cluster, memory, user=None)
    assert own.keys() == found.keys()
    assert own["connect"] == repr(b"+PONG\r\n")
    assert {name: outcome for name, outcome in own.items() if outcome == "PermissionError"} == {}
    del value


def test_the_list_of_processes_shows_no_secret(cluster: LocalCluster) -> None:
    """All users may read that list."""
    folder = folder_of(cluster)
    assert length(b"abc").compute(timeout=PATIENCE) == 3
    secrets = [SECRET, *(path.read_text().strip() for path in folder.glob("secret"))]
    for line in mentioning(folder.name).values():
        assert not [secret for secret in secrets if secret in line]


def test_no_process_of_the_cluster_has_a_network_socket(cluster: LocalCluster) -> None:
    """None of its processes has a socket of TCP or UDP, not even on the loopback address."""
    assert list(length.map([b"abc"] * 100)) == [3] * 100
    assert length(b"abc").compute(timeout=PATIENCE) == 3
    assert network_sockets(list(mentioning(folder_of(cluster).name))) == []


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_the_helper_that_lists_network_sockets_finds_an_open_socket(
    kind: socket.SocketKind, family: socket.AddressFamily
) -> None:
    before = len(network_sockets([os.getpid()]))
    try:
        server = socket.socket(family, kind)
        server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    except OSError:
        pytest.skip("this machine has no such network")
    with server:
        if kind == socket.SOCK_STREAM:
            server.listen()
        assert len(network_sockets([os.getpid()])) == before + 1


def network_sockets(pids: list[int]) -> list[str]:
    """Sockets of some processes that the network could reach, as lines of the kernel's tables."""
    names = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                names.add(os.readlink(descriptor))
            except OSError:
                continue  # Closed meanwhile.
    found = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = Path("/proc/net", name)
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        found += [line for line in lines if f"socket:[{line.split()[9]}]" in names]
    return found
