"""The future of a detached call: it is resolved by a reply that is kept in Redis."""

import threading
from collections.abc import Callable
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Reply
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.references import Reference
from distribute_challenge.errors import ValueLostError
from distribute_challenge.execution_backends.celery.broker.keys import outcome_key
from distribute_challenge.execution_backends.loss_report import (
    detached_is_unknown,
    error_of_detached,
)
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.serialisation.outcomes import decode_outcomes, note_size

__all__ = ["DetachedFuture"]


class DetachedFuture(Future[Any]):
    """The future of one detached call, which `DetachedCalls` makes and resolves.

    `DetachedCalls` asks Redis for its reply as long as the program has a reference to the future,
    or the future has a callback to call.

    Args:
        id: The call's id.
        name: Name of the function, or another name of the call for messages.
        needed: Set that holds the futures with callbacks, as the program may keep no reference to
            them.
        created: When the call was made, in seconds since the epoch; 0 if another process made it.
        sent: When the call was sent, in seconds since the epoch; 0 if another process sent it.

    Attributes:
        suspect: Whether its message was missing when `DetachedCalls` last looked for it.
        looked: When that was, in seconds of the monotonic clock.
    """

    suspect = False
    looked = 0.0

    def __init__(
        self,
        id: str,  # noqa: A002 - as users know it
        name: str,
        needed: "set[DetachedFuture]",
        created: float = 0.0,
        sent: float = 0.0,
    ) -> None:
        super().__init__(name)
        self._id = id
        self._needed = needed
        self._sent = created, sent

    def stage(self) -> str:
        return "pending"  # Only the broker knows more.

    def when_done(self, callback: Callable[[Any], object]) -> None:
        self._needed.add(self)
        super().when_done(self._needed.discard)
        super().when_done(callback)

    def take(self, outcome: bytes | None, keyring: Keyring) -> None:
        """Resolve the future.

        Args:
            outcome: The sealed reply from Redis; None: there is none.
            keyring: Opens the reply.
        """
        if outcome is None:
            self.fail(detached_is_unknown(self.id))
            return
        try:
            self._take(
                Reply.decode(keyring.open(Purpose.reply(outcome_key(self.id)), outcome)),
                clock.now(),
            )
        except BaseException as error:
            if (
                isinstance(error, KeyboardInterrupt)
                and threading.current_thread() is threading.main_thread()
            ):
                raise  # Ctrl+C in `attach`.
            # Whatever the reply holds, the thread must go on to look for the other outcomes.
            self.fail(error)

    def _take(self, reply: Reply, received: float) -> None:
        if reply.problem is not None:
            raise error_of_detached(self.name, reply, received)
        created, sent = self._sent
        began = reply.started
        stages = created or began, sent or began, began, reply.finishes[-1], received, reply.worker
        (result,) = decode_outcomes(reply, _nowhere)
        note_size(self, reply.sections)
        if type(result) is Failure:
            self.fail(result.error, stages)
        else:
            self.resolve(result, stages)


def _nowhere(reference: Reference) -> memoryview:
    # The reply of a detached call holds even a large result; a reference in it cannot be resolved.
    raise ValueLostError(
        "the result of a detached call is where only its worker finds it", [reference.key]
    )
