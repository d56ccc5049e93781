"""The future of a detached call: resolved by a reply that lies in Redis for whoever asks."""

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
from distribute_challenge.serialisation.outcomes import decode_outcomes

__all__ = ["DetachedFuture"]


class DetachedFuture(Future[Any]):
    """A future that is looked after as long as somebody has it, or waits to be told by it.

    Args:
        id: The call's.
        name: Name of the function, or what else the call is called in messages.
        needed: Keeps the futures that tell somebody, who may have nothing else of them.
        created: Seconds since the epoch, if this process made the call; else 0.
        sent: Likewise.

    Attributes:
        suspect: Whether its message was missing at the last look.
        looked: When that was, by the monotonic clock.
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

    def _is_known_to_run(self) -> bool:
        return False  # The broker would have to be asked.

    def when_done(self, callback: Callable[[Any], object]) -> None:
        self._needed.add(self)
        super().when_done(self._needed.discard)
        super().when_done(callback)

    def take(self, outcome: bytes | None, keyring: Keyring) -> None:
        """Resolve it by the reply that was found, or not found."""
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
            # Whatever lies there: the thread that looks after all the others goes on.
            self.fail(error)

    def _take(self, reply: Reply, received: float) -> None:
        if reply.problem is not None:
            raise error_of_detached(self.name, reply, received)
        created, sent = self._sent
        began = reply.started
        stages = created or began, sent or began, began, reply.finishes[-1], received, reply.worker
        (result,) = decode_outcomes(reply, _nowhere)
        if type(result) is Failure:
            self.fail(result.error, stages)
        else:
            self.resolve(result, stages)


def _nowhere(reference: Reference) -> memoryview:
    # A large result travels in its reply; this is how it is read, too.
    raise ValueLostError(
        "the result of a detached call is where only its worker finds it", [reference.key]
    )
