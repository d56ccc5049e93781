"""The future of a call that runs in a process which may die: with its task and all attempts."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Problem, Task
from distribute_challenge.errors import Attempt, SerialisationError
from distribute_challenge.execution_backends import policy
from distribute_challenge.execution_backends.frames import lost, settle
from distribute_challenge.execution_backends.loss_report import described

__all__ = ["ProcessEnd", "TriedCall"]


class ProcessEnd(NamedTuple):
    """How a process ended that had a call.

    Args:
        worker: Name of the process.
        text: How it ended, for people.
        facts: As `Attempt.facts`.
        has_begun: Whether it had begun the call.
        was_slow: Whether it was killed because it ignored the call's time limit.
    """

    worker: str
    text: str
    facts: Mapping[str, Any]
    has_begun: bool
    was_slow: bool


class TriedCall(Future[Any]):
    """A future that an engine settles with what a process has answered, or with how it ended.

    Attributes:
        task: The task to run.
        attempts: The times that it was begun and its process died.
        unbegun: The times that its process died before it had begun.
    """

    task: Task
    attempts: tuple[Attempt, ...]
    unbegun: tuple[Attempt, ...] = ()

    def call_text(self) -> str:
        return described(self.task)

    def take(self, sent: float, frames: Iterable[bytes], *, allowed: int) -> bool:
        """Settle the call with what its process has answered.

        Args:
            sent: When the process got the call, in seconds since the epoch.
            frames: Reply frames.
            allowed: As for `frames.lost`.

        Returns:
            Whether the engine has to begin it again.
        """
        try:
            problem = settle(self, self.task, sent, frames)
        except BaseException as error:  # Unpickling the outcome may run code of the user's.
            failure = SerialisationError(
                f"{self.name}: its outcome cannot be unpickled in this process"
            )
            failure.__cause__ = error
            self.fail(failure)
            return False
        # The call was cancelled. Or another version of the library has been installed meanwhile,
        # and the process runs that version.
        return problem is not None and lost(
            self, self.task, self.attempts, problem, allowed=allowed
        )

    def take_end(self, sent: float, end: ProcessEnd, *, allowed: int) -> bool:
        """Settle the call whose process has ended, if the policy says so.

        Args:
            sent: When the process got the call, in seconds since the epoch.
            end: How the process ended.
            allowed: As for `frames.lost`.

        Returns:
            Whether the engine has to begin it again.
        """
        attempt = Attempt(end.worker, sent, clock.now(), end.text, self.task.calls, end.facts)
        if end.has_begun:
            self.attempts += (attempt,)
            problem = Problem("timeout" if end.was_slow else "lost", end.text, end.facts)
            return lost(self, self.task, self.attempts, problem, allowed=allowed)
        self.unbegun += (attempt,)
        make_error = policy.after_unbegun(self.task, self.unbegun)
        if make_error is None:
            return not self.done()
        self.fail(make_error())
        return False

    def drop_arguments(self) -> None:
        """Free the arguments of a call that is done.

        They may be large, and the program may keep the future for long.
        """
        self.task = self.task._replace(arguments=b"")
