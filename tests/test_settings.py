"""The environment."""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from distribute_challenge import settings


def test_no_variable_means_no_broker(clean_environment: pytest.MonkeyPatch) -> None:
    """Then the embedded cluster serves."""
    assert settings.broker_url() is None


def test_the_broker_url_is_celery_s_variable(clean_environment: pytest.MonkeyPatch) -> None:
    """What Celery users have set already is enough."""
    clean_environment.setenv("CELERY_BROKER_URL", " redis://a ")
    assert settings.broker_url() == "redis://a"


def test_the_variable_of_the_library_takes_precedence_over_that_of_celery(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """An application with a Celery of its own can have another broker here."""
    clean_environment.setenv("CELERY_BROKER_URL", "redis://a")
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BROKER_URL", "redis://b")
    assert settings.broker_url() == "redis://b"


def test_an_empty_variable_counts_as_not_set(clean_environment: pytest.MonkeyPatch) -> None:
    """Compose files set variables to nothing."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BROKER_URL", " ")
    assert settings.broker_url() is None


def test_celery_is_the_default_backend(clean_environment: pytest.MonkeyPatch) -> None:
    """It is the backend if the user sets nothing."""
    assert settings.backend_name() == "celery"


def test_the_environment_names_another_backend(clean_environment: pytest.MonkeyPatch) -> None:
    """Read at each call, not at import."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BACKEND", "threads")
    assert settings.backend_name() == "threads"


def test_there_is_one_worker_for_each_core_that_this_process_may_use(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """Cores that a container or `taskset` forbids do not count."""
    assert settings.worker_count() == len(os.sched_getaffinity(0))


def test_without_cpu_affinity_all_cores_are_counted(clean_environment: pytest.MonkeyPatch) -> None:
    """Affinity is unknown on macOS. If the number of cores is unknown, too, one counts."""
    clean_environment.delattr(os, "sched_getaffinity")
    clean_environment.setattr(os, "cpu_count", lambda: 3)
    assert settings.worker_count() == 3
    clean_environment.setattr(os, "cpu_count", lambda: None)
    assert settings.worker_count() == 1


def test_the_environment_sets_the_number_of_workers(clean_environment: pytest.MonkeyPatch) -> None:
    """It wins over the number of cores."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "7")
    assert settings.worker_count() == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_workers_is_named_with_the_line_to_write(
    clean_environment: pytest.MonkeyPatch, text: str
) -> None:
    """The message shows what was got and what is expected."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_WORKERS", text)
    with pytest.raises(ValueError, match=f"DISTRIBUTE_CHALLENGE_WORKERS='{text}'.*at least 1"):
        settings.worker_count()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@host:6379/0",
        "redis://user:secret@host:6379/0",
        "rediss://user:secret@host",
        "redis://user:se/secret@host",
        "redis://user:se@secret@host",
        "redis://user:se:secret@host",
        "redis://user:se?secret#x@host",
        "redis://host:6379/0?password=secret",
        "redis://host:6379/0?db=1&password=secret&x=1",
        "sentinel://:secret@host:26379;sentinel://:secret@host:26380",
    ],
)
def test_a_masked_url_shows_its_host_and_not_its_password(url: str) -> None:
    """The password may hold characters that should have been quoted."""
    masked = settings.masked(url)
    assert "secret" not in masked
    assert "***" in masked
    assert "host" in masked


@pytest.mark.parametrize(
    "url",
    ["redis://localhost", "redis://localhost:6379/0", "redis+socket:///tmp/a.sock", "memory://"],
)
def test_a_url_without_a_password_stays_as_it_is(url: str) -> None:
    """There is nothing to hide."""
    assert settings.masked(url) == url


def test_the_patience_of_an_embedded_cluster_is_zero_unless_set(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """No process waits for its results."""
    clean_environment.delenv("DISTRIBUTE_CHALLENGE_PATIENCE", raising=False)
    assert settings.patience() == 0
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_PATIENCE", "2.5")
    assert settings.patience() == 2.5


@pytest.mark.parametrize("text", ["-1", "long", "nan"])
def test_a_wrong_patience_is_named_with_the_line_to_write(
    clean_environment: pytest.MonkeyPatch, text: str
) -> None:
    """The message shows what was got."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_PATIENCE", text)
    with pytest.raises(
        ValueError,
        match=f"'{text}' is not a number of seconds of at least 0; set it as in .*PATIENCE=5",
    ):
        settings.patience()
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_PATIENCE", "0")
    assert settings.patience() == 0


def test_large_values_stay_in_shared_memory(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They lie in /dev/shm if it exists, unless the user names another folder."""
    assert settings.shared_folder() == Path("/dev/shm")
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    assert settings.shared_folder() == tmp_path


def test_there_is_no_shared_folder_without_shared_memory(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On macOS there is one, as files in memory have another place."""
    clean_environment.setattr(settings, "SHARED_MEMORY", tmp_path / "nothing")
    clean_environment.setattr(sys, "platform", "linux")
    assert settings.shared_folder() is None
    clean_environment.setattr(sys, "platform", "darwin")
    assert settings.shared_folder() == Path(tempfile.gettempdir()).absolute()


def test_a_wrong_shared_folder_is_named_with_the_line_to_write(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message shows what was got and what is expected."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path / "nothing"))
    with pytest.raises(
        ValueError,
        match=r"SHARED_FOLDER='.*nothing' is not a folder .*, as in .*SHARED_FOLDER=/dev/shm",
    ):
        settings.shared_folder()


def test_large_values_go_to_redis_unless_told_otherwise(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """They can go to any place that fsspec knows."""
    assert settings.store_url() is None
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_STORE", "file:///mnt/shared ")
    assert settings.store_url() == "file:///mnt/shared"


def test_the_caches_of_all_workers_share_a_quarter_of_the_memory(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is the machine's or the container's, whichever is smaller; 4 GB for each at most."""
    limit = tmp_path / "memory.max"
    clean_environment.setattr(settings, "CONTAINER_MEMORY", limit)
    clean_environment.setattr(
        os, "sysconf", {"SC_PHYS_PAGES": 1 << 20, "SC_PAGE_SIZE": 4096}.__getitem__
    )
    assert settings.value_cache() == 1 << 30
    assert settings.value_cache(4) == 1 << 28
    limit.write_text("max\n")
    assert settings.value_cache() == 1 << 30
    limit.write_text(f"{1 << 30}\n")
    assert settings.value_cache() == 1 << 28
    limit.unlink()
    clean_environment.setattr(
        os, "sysconf", {"SC_PHYS_PAGES": 1 << 28, "SC_PAGE_SIZE": 4096}.__getitem__
    )
    assert settings.value_cache() == 4 << 30


def test_the_environment_variable_sets_the_cache_of_each_worker(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """It says so in bytes, for each worker."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_VALUE_CACHE", "1000")
    assert settings.value_cache(4) == 1000


def test_a_map_reduce_takes_an_eighth_of_the_memory(clean_environment: pytest.MonkeyPatch) -> None:
    """Divided among the processes, and 1 GB at most, unless the variable says otherwise."""
    memory = {"SC_PHYS_PAGES": 1 << 20, "SC_PAGE_SIZE": 4096}
    clean_environment.setattr(os, "sysconf", memory.__getitem__)
    clean_environment.setattr(settings, "CONTAINER_MEMORY", "/there/is/none")
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "2")
    assert settings.shuffle_memory() == 1 << 28
    memory["SC_PHYS_PAGES"] = 1 << 28
    assert settings.shuffle_memory() == 1 << 30
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_SHUFFLE_MEMORY", "1000")
    assert settings.shuffle_memory() == 1000
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_SHUFFLE_MEMORY", "1GB")
    with pytest.raises(ValueError, match="SHUFFLE_MEMORY='1GB' is not a number of bytes"):
        settings.shuffle_memory()


@pytest.mark.parametrize("text", ["-1", "1GB"])
def test_a_wrong_cache_is_named_with_the_line_to_write(
    clean_environment: pytest.MonkeyPatch, text: str
) -> None:
    """The message shows what was got and what is expected."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_VALUE_CACHE", text)
    with pytest.raises(
        ValueError, match=f"VALUE_CACHE='{text}' is not a number of bytes; .*VALUE_CACHE=1000000000"
    ):
        settings.value_cache()


@pytest.mark.parametrize(("text", "allowed"), [("", False), ("0", False), ("1", True)])
def test_workers_of_root_s_are_allowed_by_name(
    text: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_ALLOW_ROOT", text)
    assert settings.allow_root() is allowed
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_ALLOW_ROOT", "yes")
    with pytest.raises(
        ValueError,
        match="'yes' is no choice; set DISTRIBUTE_CHALLENGE_ALLOW_ROOT=1, or leave it out",
    ):
        settings.allow_root()


def test_attempts_are_three_unless_the_variable_says_otherwise(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    assert settings.attempts() == 3
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_ATTEMPTS", "5")
    assert settings.attempts() == 5


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_an_invalid_number_of_attempts_is_refused(
    clean_environment: pytest.MonkeyPatch, text: str
) -> None:
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_ATTEMPTS", text)
    with pytest.raises(
        ValueError,
        match=f"DISTRIBUTE_CHALLENGE_ATTEMPTS='{re.escape(text)}' is not a number of attempts",
    ):
        settings.attempts()


@pytest.mark.parametrize(
    ("variable", "limit", "default"),
    [
        ("DISTRIBUTE_CHALLENGE_DATA_FILE_LIMIT", settings.data_file_limit, 1_000_000),
        ("DISTRIBUTE_CHALLENGE_DATA_LIMIT", settings.data_limit, 5_000_000),
    ],
)
def test_limits_of_data_files_are_bytes(
    variable: str, limit: Callable[[], int], default: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything else is an error that names the variable."""
    monkeypatch.delenv(variable, raising=False)
    assert limit() == default
    monkeypatch.setenv(variable, "7")
    assert limit() == 7
    monkeypatch.setenv(variable, "7 MB")
    with pytest.raises(ValueError, match=f"{variable}='7 MB' is not a number of bytes"):
        limit()


def test_calls_wait_for_redis_for_a_minute_unless_the_variable_says_otherwise(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """The variable is in seconds, also parts of one."""
    assert settings.broker_timeout() == 60
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BROKER_TIMEOUT", "2.5")
    assert settings.broker_timeout() == 2.5


@pytest.mark.parametrize("text", ["0", "-1", "long", "nan"])
def test_a_wrong_broker_timeout_is_refused(
    clean_environment: pytest.MonkeyPatch, text: str
) -> None:
    """The error has the line to write."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BROKER_TIMEOUT", text)
    with pytest.raises(
        ValueError, match=f"'{text}' is not a number of seconds above 0; set it as in .*_TIMEOUT=60"
    ):
        settings.broker_timeout()
