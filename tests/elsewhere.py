"""A worker far away: a fresh interpreter in an empty folder, without the client's project.

    script in a project folder --> Elsewhere (a backend) --> Worker (pipes) --> execution.execute

`Client` runs the script, as a user would, with ``python script.py``.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.frames import settle, task_frame
from distribute_challenge.serialisation.outcomes import decode_outcomes

_PROGRAM = """
import os, pickle, sys
from distribute_challenge.execution.run import become_worker, execute
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.serialisation.modules.project_importer import ProjectImporter

requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
become_worker()
payloads = {}
cache = FunctionCache(payloads.get, ProjectImporter())
while True:
    try:
        digest, payload, frame = pickle.load(requests)
    except EOFError:
        break
    payloads[digest] = payload
    pickle.dump(list(execute(frame, cache, "elsewhere")), replies)
    replies.flush()
"""

#: One task on its way: digest, payload, frame.
Request = tuple[str, bytes, bytes]


class Worker:
    """A process that runs the calls it is sent, one after the other."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            cwd=self._folder.name,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def perform(self, request: Request) -> list[bytes]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(request, self._process.stdin)
        self._process.stdin.flush()
        frames: list[bytes] = pickle.load(self._process.stdout)
        return frames

    def close(self) -> None:
        self._process.communicate(timeout=10)
        self._folder.cleanup()

    def kill(self) -> None:
        """Let it end as by a lack of memory."""
        self._process.kill()
        self.close()


class Elsewhere(ExecutionBackend):
    """Runs each call in a `Worker` during `submit`, and remembers sent digests and modules."""

    def __init__(self) -> None:
        self._worker = Worker()
        self.digests: list[str] = []
        self.payload = b""

    def submit(self, task: Task) -> Future[Any]:
        self.digests.append(task.function.digest)
        self.payload = task.function.payload
        future: Future[Any] = Future(task.function.name)
        problem = settle(future, task, time.time(), self._worker.perform(_request(task)))
        assert problem is None
        return future

    def close(self) -> None:
        self._worker.close()


class Keep(ExecutionBackend):
    """Writes each task to a file in place of running it."""

    def __init__(self, filename: str) -> None:
        self._filename = filename

    def submit(self, task: Task) -> Future[Any]:
        Path(self._filename).write_bytes(pickle.dumps(_request(task)))
        future: Future[Any] = Future(task.function.name)
        future.resolve(None)
        return future


def _request(task: Task) -> Request:
    return task.function.digest, task.function.payload, task_frame(task)


def outcome_of(request: bytes) -> Any:
    """Run the one call of a request that `Keep` wrote, on a new worker: its value or `Failure`."""
    worker = Worker()
    try:
        (frame,) = worker.perform(pickle.loads(request))
    finally:
        worker.close()
    (outcome,) = decode_outcomes(Reply.decode(frame))
    return outcome


class Client:
    """A project folder, and scripts in it run by ``python``, with ``backend`` an `Elsewhere`.

    A script runs as ``__main__`` with its own functions defined at module level; it imports nothing
    of the tests but ``elsewhere``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **files: str) -> None:
        """Write source files; ``pkg__sub__module=...`` goes into ``pkg/sub/module.py``."""
        for name, source in files.items():
            path = self.folder.joinpath(*name.replace("__", "/").split("/")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))

    def package(self, *names: str) -> None:
        """Make folders regular packages."""
        for name in names:
            folder = self.folder.joinpath(*name.split("."))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()

    def run_far(self, script: str) -> Any:
        """Run a script's one call on a machine without the folder: its value or `Failure`.

        Args:
            script: Makes the call with ``compute(backend=far)``.
        """
        self.run("far = Keep('request')\n" + textwrap.dedent(script))
        request = (self.folder / "request").read_bytes()
        away = self.folder.with_name(self.folder.name + ".away")
        self.folder.rename(away)
        try:
            return outcome_of(request)
        finally:
            away.rename(self.folder)

    def run(self, script: str) -> str:
        """Run a script; what it prints, without the last line end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "script.py"
        header = "from elsewhere import Elsewhere, Keep\nfrom distribute_challenge import compute_this\nbackend = Elsewhere()\n"
        path.write_text(header + textwrap.dedent(script) + "\nbackend.close()\n")
        return self.python(str(path))

    def python(self, *arguments: str) -> str:
        """Run Python in the folder; what it prints, without the last line end."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": os.path.dirname(__file__),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
