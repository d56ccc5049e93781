"""Calls that configure `logging` in their process, and the prints of those after them."""

import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from distribute_challenge import LocalCluster, compute_this
from tests.execution_backends.celery.conftest import running_cluster

pytestmark = pytest.mark.celery
TIMEOUT = 60


@pytest.fixture(scope="module")
def one_process() -> Iterator[LocalCluster]:
    with running_cluster(1) as cluster:
        yield cluster


def stream_handler(name: str) -> None:
    logging.getLogger(name).addHandler(logging.StreamHandler(sys.stdout))


def default_stream_handler(name: str) -> None:
    logging.getLogger(name).addHandler(logging.StreamHandler())


def basic_config(name: str) -> None:
    logging.basicConfig(
        force=True, stream=sys.stderr, format="mine %(message)s", level=logging.ERROR
    )


def dict_config(name: str) -> None:
    import logging.config

    handler = {"class": "logging.StreamHandler"}
    root = {"level": "INFO", "handlers": ["console"]}
    logging.config.dictConfig({"version": 1, "handlers": {"console": handler}, "root": root})


def other_format(name: str) -> None:
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter("theirs %(message)s"))
        handler.setLevel(logging.CRITICAL)


def intercepted(name: str) -> None:
    """Send all that is logged to a program that writes to standard error, as loguru's page says."""

    class InterceptHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(record.getMessage(), file=sys.stderr)

    logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "distribute_challenge"])
@pytest.mark.parametrize(
    "configure",
    [stream_handler, default_stream_handler, other_format, basic_config, dict_config, intercepted],
)
def test_a_call_may_configure_logging_and_later_prints_arrive_once(
    one_process: LocalCluster,
    eventually: Callable[[Callable[[], bool]], None],
    configure: Callable[[str], None],
    name: str,
) -> None:
    """All in one process, one upon the other."""
    word = uuid.uuid4().hex

    @compute_this
    def set_up() -> str:
        configure(name)
        logging.getLogger(word).critical("%s logged", word)
        print(word, "printed")
        return "done"

    @compute_this
    def say() -> str:
        print(word, "said", flush=True)
        return "said"

    options: dict[str, Any] = {"backend": one_process.backend, "timeout": TIMEOUT}
    assert set_up().compute(**options) == "done"
    assert say().compute(**options) == "said"
    eventually(lambda: f"{word} said" in one_process.log())
    lines = [line for line in one_process.log().splitlines() if word in line]
    for call, verb in ("set_up", "printed"), ("say", "said"):
        assert [f" INFO {line.partition(' INFO ')[2]}" for line in lines if verb in line] == [
            f" INFO ForkPoolWorker-1 [{call}] {word} {verb}"
        ]
    assert any(f"{word} logged" in line for line in lines)
