"""Calls that raised, as Celery sees it: its task has failed, with an exception that looks like the
first of theirs.

    child: user's exception ──> FailedTaskError ──> task_failure, to Sentry, OpenTelemetry and the like
                                      │ pickled
    main process                      └──> task-failed, to Flower, exporters and the like

The user's own exception does not go there. Celery would unpickle it in a process that cannot import
the user's modules; and some exceptions make Celery run a task again, or end its worker. What goes
there has the name of the class, the text, the traceback and the causes.
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
    """Base of the exceptions that Celery sees; each has a class of its own, named like the user's.

    Args:
        module: Of the user's class.
        name: Of the user's class.
        text: ``str()`` of the user's exception, and how many calls raised.
        shown: ``repr()`` of it, as Celery shows it.
        left_out: Calls that raised and have no line in the log.
    """

    def __init__(self, module: str, name: str, text: str, shown: str, left_out: int) -> None:
        super().__init__(text)
        self._users_frames: TracebackType | None = None
        self._module, self._name, self._text, self._shown = module, name, text, shown
        self.left_out = left_out

    @property
    def __traceback__(self) -> TracebackType | None:
        """The user's frames alone: Celery formats and pickles what stands here, and its own frames
        are a hundred times as long.
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
    """What Celery is told of a batch.

    Args:
        batch: The batch.
        failures: Its failures; at least one.
        left_out: As for `FailedTaskError`.
    """
    count = f" in {failures.raised} of {batch.calls} calls" if batch.calls > 1 else ""
    return failed_task(failures.kept[0].error, count, left_out)


def failed_task(error: BaseException, count: str = "", left_out: int = 0) -> FailedTaskError:
    """What Celery is told of an exception.

    Args:
        error: The exception.
        count: How many calls raised, to stand behind its text.
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
    # Both: what Python keeps for `sys.exc_info` and what is asked of the object.
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
    """For Celery's log: whether a line says more than that calls have raised, which `failure_log`
    has said already.
    """
    return not (
        isinstance(record.exc_info, tuple) and isinstance(record.exc_info[1], FailedTaskError)
    )
