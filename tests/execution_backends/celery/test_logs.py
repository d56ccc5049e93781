"""What calls print, log and warn of on real workers, at their client."""

import contextlib
import io
import logging
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.errors import ResultTimeoutError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.execution_backends.celery.conftest import running_cluster
from tests.processes import wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]
DEADLINE = 60


@pytest.fixture(scope="module")
def own() -> Iterator[LocalCluster]:
    with running_cluster(2) as cluster:
        yield cluster


def texts(output: str) -> list[str]:
    """Lines without their source."""
    return [line.partition(" │ ")[2] for line in output.splitlines()]


def count(number: int, lines: int) -> int:
    for line in range(lines):
        print(number, line)
    return number


def test_printed_lines_are_shown_before_the_results_of_their_calls(
    own: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, in order, with their source; and in the futures."""
    function = compute_this(backend=own.backend)(count)
    futures = [function(number, 100).submit() for number in range(40)]
    for number, future in enumerate(futures):
        assert future.result(DEADLINE) == number
    shown = capsys.readouterr().out
    lines = texts(shown)
    for number, future in enumerate(futures):
        expected = [f"{number} {line}" for line in range(100)]
        assert [line for line in lines if line.startswith(f"{number} ")] == expected
        assert [line.text for line in future.logs()] == expected
    assert len(lines) == 4000
    assert {line.partition(" │ ")[0] for line in shown.splitlines()} == {
        "count@worker-1",
        "count@worker-2",
    }
    assert list(function.starmap([(number, 3) for number in range(300)])) == list(range(300))
    assert len(texts(capsys.readouterr().out)) == 900


def test_printed_lines_of_a_call_that_is_waited_for_are_shown(
    own: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets both streams and unended lines, also of a failed call, and nothing of the next."""

    def mixed() -> None:
        print("out")
        print("error", file=sys.stderr)
        print("no end", end="")
        raise ValueError("the end")

    with pytest.raises(ValueError, match="the end"):
        compute_this(backend=own.backend)(mixed)().compute(timeout=DEADLINE)
    shown = capsys.readouterr()
    assert (texts(shown.out), texts(shown.err)) == (["out", "no end"], ["error"])
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        compute_this(backend=own.backend)(count)(7, 1).compute(timeout=DEADLINE)
    assert texts(caught.getvalue()) == ["7 0"]
    assert capsys.readouterr() == ("", "")


def steps(number: int, name: str = "step") -> None:
    for step in range(number):
        print(name, step)
        time.sleep(0.1)


def test_printed_lines_are_shown_while_the_call_runs(
    own: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """They do not delay its result."""
    function = compute_this(backend=own.backend)(steps)
    future = function(100).submit()
    shown: list[str] = []

    def show() -> list[str]:
        shown.extend(texts(capsys.readouterr().out))
        return shown

    wait_until(lambda: len(show()) > 2, "three lines", within=DEADLINE)
    assert not future.done()
    assert shown[:3] == [line.text for line in future.logs()[:3]] == ["step 0", "step 1", "step 2"]
    with pytest.raises(ResultTimeoutError):
        function(10, "late").compute(timeout=0.3)
    assert future.cancel(force=True)
    function(12).compute(timeout=DEADLINE)  # Longer than the caller reads by itself.
    # The call that its caller gave up went on; its end must not come in the next test.
    wait_until(lambda: "late 9" in show(), "its last line", within=DEADLINE)


def test_excessive_output_is_cut_and_the_omitted_lines_counted(
    own: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """The beginning is shown, in order. Other calls have all of their lines."""

    def flood() -> float:
        began = time.monotonic()
        for number in range(30_000):
            print(f"{number:099}")
        return time.monotonic() - began

    future = compute_this(backend=own.backend)(flood)().submit()
    quiet = compute_this(backend=own.backend)(count)(1, 100).submit()
    quiet.result(DEADLINE)
    seconds = future.result(DEADLINE)
    assert len(quiet.logs()) == 100
    captured = capsys.readouterr()
    shown = [int(text) for text in texts(captured.out) if len(text) == 99]
    left_out = sum(
        int(number.replace(",", "")) for number in re.findall(r"│ ([\d,]+) lines of", captured.err)
    )
    assert shown == sorted(set(shown))
    assert shown[:10_000] == list(range(10_000))
    assert len(shown) + left_out == 30_000
    assert len(shown) <= 10_000 * (seconds + 1)
    assert len(future.logs()) == 1000


def test_log_records_of_a_call_pass_the_loggers_of_the_client(
    own: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """This process's level counts, not the worker's. Each comes once, however the call logs."""

    def log() -> None:
        logger = logging.getLogger("a.library")
        for level in (logging.DEBUG, logging.INFO, logging.ERROR):
            logger.log(level, "%s at %d", "said", level)
            try:
                raise KeyError(f"key {level}")
            except KeyError:
                logger.log(level, "failed \udcff", exc_info=True, stack_info=True)
        logger.error("none", exc_info=True)  # noqa: LOG014 - some do that
        logger.warning("%d", "does not fit")
        logging.getLogger("celery.any").error("of the worker's own")

    function = compute_this(backend=own.backend)(log)
    for level, said in (
        (logging.DEBUG, [10, 20, 40]),
        (logging.WARNING, [40]),
        (logging.INFO, [20, 40]),
    ):
        caplog.clear()
        with caplog.at_level(level):
            function().compute(timeout=DEADLINE)
        records = [record for record in caplog.records if record.name == "a.library"]
        expected = [text for each in said for text in (f"said at {each}", "failed \\udcff")]
        assert [record.getMessage() for record in records] == [*expected, "none"]
        for each, record in zip(said, records[1::2], strict=True):
            assert record.exc_text
            assert record.exc_text.endswith(f"KeyError: 'key {each}'")
            assert "Stack (most recent call last)" in str(record.stack_info)
            assert re.fullmatch(r"log@worker-\d", record.processName or "")
        assert "celery.any" not in caplog.text


def test_handlers_that_a_call_configures_write_each_record_once(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its handlers write, as they would in a script, and nothing comes twice."""

    def configured(how: str) -> None:
        logger = logging.getLogger("theirs")
        if how == "handler":
            logger.addHandler(logging.StreamHandler())
            logger.addHandler(logging.NullHandler())
        elif how == "not passed on":
            logger.propagate = False
        else:
            logging.basicConfig(
                level=logging.INFO, format="mine %(message)s", force=how == "by force"
            )
            logger = logging.getLogger("others")
        logger.warning(how)

    with LocalCluster(workers=1):
        for how in ("handler", "not passed on", "basic", "by force"):
            compute_this(configured)(how).compute(timeout=DEADLINE)
    assert texts(capsys.readouterr().err) == [
        "handler",
        "not passed on",
        "mine basic",
        "mine by force",
    ]
    assert "theirs" not in {record.name for record in caplog.records}


def warn(number: int) -> None:
    time.sleep(0.05)
    warnings.warn("old", RuntimeWarning, stacklevel=1)


def test_a_warning_in_a_call_is_raised_as_a_warning_of_the_client(
    own: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown once for its place, whatever process it comes from.

    What the call itself does with it stays there.
    """

    def caught() -> int:
        with warnings.catch_warnings(record=True) as found:
            warnings.warn("caught", stacklevel=1)
        with contextlib.redirect_stderr(io.StringIO()) as stream:
            warnings.warn("redirected", stacklevel=1)
        return len(found) + len(stream.getvalue().splitlines())

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        list(compute_this(backend=own.backend)(warn).map(range(20), batch_size=1))
        assert compute_this(backend=own.backend)(caught)().compute(timeout=DEADLINE) == 3
    # The garbage of other tests may give warnings, too.
    ours = [each for each in found if each.filename == __file__]
    assert [(each.category, str(each.message)) for each in ours] == [(RuntimeWarning, "old")]
    assert "old" in own.log()
    # To another client it is new.
    with (
        CeleryExecutionBackend(own.broker_url, logs=True) as other,
        warnings.catch_warnings(record=True) as found,
    ):
        warnings.simplefilter("default")
        compute_this(backend=other)(warn)(1).compute(timeout=DEADLINE)
    assert [str(each.message) for each in found if each.filename == __file__] == ["old"]


def test_a_client_of_an_external_cluster_gets_lines_only_if_asked_for(
    own: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the client that made the calls gets them. The worker's log always has them."""
    url = own.broker_url
    with (
        CeleryExecutionBackend(url) as silent,
        CeleryExecutionBackend(url, logs=True) as loud,
        CeleryExecutionBackend(url, logs=True) as stranger,
    ):
        number = 1000
        for backend, variable, is_shown in (
            (silent, "", False),
            (loud, "0", True),
        ):
            number += 1
            monkeypatch.setenv("DISTRIBUTE_CHALLENGE_LOGS", variable)
            future = compute_this(backend=backend)(count)(number, 1).submit()
            compute_this(backend=stranger)(count)(2, 0).compute(timeout=DEADLINE)
            compute_this(backend=silent)(warn)(number).compute(timeout=DEADLINE)
            future.result(DEADLINE)
            assert texts(capsys.readouterr().out) == [f"{number} 0"] * is_shown
            assert [line.text for line in future.logs()] == [f"{number} 0"] * is_shown
            assert f"{number} 0" in own.log()
    for variable, logs, is_shown in (("1", None, True), ("0", True, True), ("1", False, False)):
        monkeypatch.setenv("DISTRIBUTE_CHALLENGE_LOGS", variable)
        with CeleryExecutionBackend(url, logs=logs) as backend:
            compute_this(backend=backend)(count)(3, 1).compute(timeout=DEADLINE)
        assert texts(capsys.readouterr().out) == ["3 0"] * is_shown
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_LOGS", "0")
    with LocalCluster(workers=1):
        compute_this(count)(3, 1).compute(timeout=DEADLINE)
    assert capsys.readouterr() == ("", "")


def test_output_of_a_forked_child_or_a_leftover_thread_goes_only_to_the_log(
    own: LocalCluster,
    eventually: Callable[[Callable[[], bool]], None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """A thread of the call's own, while it runs, is part of it."""
    call_has_ended = tmp_path / "call_has_ended"

    def spread() -> int:
        import os

        def print_late() -> None:
            while not os.path.exists(call_has_ended):
                time.sleep(0.01)
            print("too late")

        threading.Thread(target=print_late).start()
        thread = threading.Thread(target=print, args=["from a thread"])
        thread.start()
        thread.join()
        child = os.fork()
        if child == 0:
            print("from a child")
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert compute_this(backend=own.backend)(spread)().compute(timeout=DEADLINE) == 0
    call_has_ended.touch()
    eventually(lambda: "too late" in own.log())
    assert "from a child" in own.log()
    assert texts(capsys.readouterr().out) == ["from a thread"]


def test_lines_of_calls_in_one_message_are_kept_apart(
    own: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines without an end and bars are kept apart, too."""

    def short(number: int) -> None:
        print("\r", number, end="", flush=True)
        print(number, end="", file=sys.stderr)

    function = compute_this(backend=own.backend)(short)
    futures = [function(number).submit() for number in range(200)]
    for number, future in enumerate(futures):
        future.result(DEADLINE)
        assert sorted((line.stream, line.text.strip()) for line in future.logs()) == [
            ("stderr", str(number)),
            ("stdout", str(number)),
        ]
