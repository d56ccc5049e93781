"""The exception that Celery gets for a batch with calls that raised; it looks like the first error.

    child: user's exception ──> FailedTaskError ──> task_failure, to Sentry, OpenTelemetry, ...
                                      │ pickled
    main process                      └──> task-failed, to Flower, exporters, ...

Celery does not get the user's own exception. It would unpickle that in a process that cannot import
the user's modules; and some exceptions make Celery run a task again, or end its worker. The
exception that it gets has the name of the class, the text, the traceback and the causes.
"""

import logging
from functools import lru_cache
from types import TracebackType
from typing import Any

from distribute_challenge.core.failures import Failures
from distribute_challenge.core.folding import users_frames
from distribute_challenge.core.guarded import shown, text_of, tried
from distribute_challenge.core.messages import Batch
from distribute_challenge.serialisation.exceptions.state import link, links_of

__all__ = ["FailedTaskError", "failed_task", "failed_task_of", "is_unreported"]


class FailedTaskError(Exception):
    """Base of the exceptions that Celery gets; each is of a subclass named like the user's class.

    Args:
        module: Module of the user's class.
        name: Qualified name of the user's class.
        text: ``str()`` of the user's exception, and how many calls raised.
        shown: ``repr()`` of the user's exception, as Celery shows it.
        left_out: Number of calls that raised and have no line in the log.
    """

    def __init__(self, module: str, name: str, text: str, shown: str, left_out: int) -> None:
        super().__init__(text)
        self._users_frames: TracebackType | None = None
        self._module, self._name, self._text, self._shown = module, name, text, shown
        self.left_out = left_out

    @property
    def __traceback__(self) -> TracebackType | None:
        """The traceback, with the user's frames only.

        Celery formats and pickles it, and the text of the other frames is a hundred times as long.
        """
        return self._users_frames

    @__traceback__.setter
    def __traceback__(self, traceback: TracebackType | None) -> None:
        self._users_frames = traceback

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._shown

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._module, self._name, self._text, self._shown, self.left_out)


def failed_task_of(batch: Batch, failures: Failures, left_out: int) -> FailedTaskError:
    """Make the exception that Celery gets for a batch.

    Args:
        batch: The batch.
        failures: Its failures; at least one.
        left_out: As for `FailedTaskError`.
    """
    count = f" in {failures.raised} of {batch.calls} calls" if batch.calls > 1 else ""
    return failed_task(failures.kept[0].error, count, left_out)


def failed_task(error: BaseException, count: str = "", left_out: int = 0) -> FailedTaskError:
    """Make the exception that Celery gets in place of another one.

    Args:
        error: The other exception.
        count: How many calls raised, as a text to append.
        left_out: As for `FailedTaskError`.
    """
    module, name = tried(lambda: _names_of(type(error)), lambda reason: ("builtins", "Exception"))
    text = text_of(error)
    made = _made(
        module,
        name,
        f"{text} ({count.strip()})" if count else text,
        f"{shown(error)}{count}",
        left_out,
    )
    links = links_of(error)
    frames = users_frames(links.traceback)
    # `link` sets the traceback in the C structure, which `sys.exc_info` uses; the second line sets
    # the property of the class.
    link(made, links._replace(message="", members=(), traceback=frames))
    made.__traceback__ = frames
    return made


def _names_of(kind: type) -> tuple[str, str]:
    return str.__str__(kind.__module__), str.__str__(kind.__qualname__)


def _made(module: str, name: str, *details: Any) -> FailedTaskError:
    return _class_of(module, name)(module, name, *details)


@lru_cache(100)
def _class_of(module: str, name: str) -> type[FailedTaskError]:
    names = {"__module__": module, "__qualname__": name}
    return type(name.rpartition(".")[2], (FailedTaskError,), names)


def is_unreported(record: logging.LogRecord) -> bool:
    """Tell Celery's log whether to keep a record: not if `failure_log` has logged its error."""
    return not (
        isinstance(record.exc_info, tuple) and isinstance(record.exc_info[1], FailedTaskError)
    )
