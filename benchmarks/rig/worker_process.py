"""A worker that is killed, frozen, ended and started again."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from distribute_challenge.benchmarking.clusters.child_process import ChildProcess
from distribute_challenge.benchmarking.extra import Lazily
from distribute_challenge.errors import ClusterStartError

__all__ = ["WorkerProcess"]

psutil = Lazily("psutil")

READY_WITHIN = 60.0  # Seconds from its start; it takes one, and more where many start at once.
ASK_EVERY = 0.02  # Seconds.
READY = " ready."  # What Celery says once it takes messages.

# The command has no option for the lease: only tests need a short one.
_WITH_LEASE = """
import sys
from distribute_challenge.execution_backends.celery.worker.main import run_worker
sys.exit(run_worker(None, concurrency={processes}, name={name!r}, lease={lease}))
"""


class WorkerProcess:
    """``distribute-challenge worker`` in a process group of its own, with its log in a file.

    Args:
        folder: For its log, and where it runs; made if it is not there.
        name: Part of its name before the ``@host``.
        environment: Variables that it gets: the broker's address and the secret.
        processes: Worker processes.
        lease: Whole seconds; None: the default.
        options: More of the command's options.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        environment: Mapping[str, str],
        processes: int = 1,
        lease: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._folder = folder
        self._environment = environment
        if lease is None:
            command = [
                "-m",
                "distribute_challenge",
                "worker",
                "-n",
                name,
                "-c",
                str(processes),
                *options,
            ]
        else:
            assert not options, "they belong to the command, which has no option for the lease"
            command = ["-c", _WITH_LEASE.format(processes=processes, name=name, lease=lease)]
        self._command = [sys.executable, "-P", *command]
        self._process: ChildProcess | None = None
        self._log: Callable[[int], Path] | None = None

    @property
    def pid(self) -> int:
        """Number of its main process, and of the process group."""
        return self._started().pid

    @property
    def code(self) -> int | None:
        """Exit code of its main process; None while that runs."""
        return self._started().code

    @property
    def log_file(self) -> Path:
        """Where its output goes."""
        return self._folder / f"{self.name}.log"

    @property
    def log(self) -> str:
        """What it has written since its last start."""
        written = self._started().text()
        if self._log is not None:
            with contextlib.suppress(OSError):  # It has ended.
                written += self._log(self.pid).read_text(errors="replace")
        return written

    @property
    def starts(self) -> int:
        """How often it was ready since its last start here; after some signals a worker restarts."""
        return self.log.count(READY)

    def start(
        self,
        *,
        prefix: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        log: Callable[[int], Path] | None = None,
    ) -> None:
        """Start it, without waiting for it; after it has ended, again under the same name.

        Args:
            prefix: Words in front of its command, of a program that becomes it.
            variables: More of its environment, this time.
            log: Where its output goes by those words, if not into its file; called with its number.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._process = ChildProcess(
            [*prefix, *self._command],
            output=self.log_file,
            # Celery's pool has files of its own; where one is killed, they are left.
            environment={**self._environment, "TMPDIR": str(self._folder), **(variables or {})},
            folder=self._folder,
        )

    def wait_until_ready(self, starts: int = 1) -> None:
        """Wait until it takes messages.

        Args:
            starts: For so often, since its last start here.

        Raises:
            ClusterStartError: It does not get there in time, or ended; with its last lines.
        """
        deadline = time.monotonic() + READY_WITHIN
        while self.starts < starts:
            if self.code is not None or time.monotonic() > deadline:
                lines = "\n".join(f"    {line}" for line in self._started().last_lines())
                raise ClusterStartError(
                    f"worker {self.name} is not ready (exit code {self.code}); its last "
                    f"lines:\n{lines}"
                )
            time.sleep(ASK_EVERY)

    def children(self) -> list[int]:
        """Numbers of the processes that run its calls; none if it is not there."""
        try:
            return sorted(child.pid for child in psutil.Process(self.pid).children())
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Kill all its processes at once."""
        self.send(signal.SIGKILL)
        self._started().wait()

    def kill_child(self) -> None:
        """Kill one of the processes that run its calls, if there is one."""
        self.signal_child(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        self._started().send(number)

    def signal_child(self, number: signal.Signals) -> None:
        """Send a signal to one of the processes that run its calls, if there is one."""
        for pid in self.children()[:1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(number)

    def freeze(self) -> None:
        """Stop all its processes where they are."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self.send(signal.SIGCONT)

    def end(self, *, within: float) -> int:
        """Ask it to end once its calls have, and wait for that.

        Args:
            within: Seconds that it has.

        Returns:
            Its exit code.

        Raises:
            TimeoutError: It took longer, and has been killed.
        """
        # To its main process alone, as a service's or a container's manager does.
        psutil.Process(self.pid).terminate()
        return self.wait(within=within)

    def wait(self, *, within: float) -> int:
        """Wait for its end, as `end` does, without asking for it."""
        return self._started().wait(within=within)

    def close(self) -> None:
        """End it at once, whatever state it is in: no client waits for its calls any more."""
        if self._process is not None:
            self.kill()

    def _started(self) -> ChildProcess:
        assert self._process is not None, "it has not been started"
        return self._process
