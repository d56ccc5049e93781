"""Ask workers by remote control what they run, or to change how many child processes they have."""

from collections.abc import Collection
from typing import Any, NamedTuple

from distribute_challenge.core.schema import number_up_to, text
from distribute_challenge.execution_backends.celery.broker.commands import SCALE, sign_command
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.mailbox import Answers, ask

__all__ = ["Running", "active", "scale"]

ANSWER_WITHIN = 1.0  # Seconds that workers have to answer.

_number = number_up_to()


class Running(NamedTuple):
    """A message that a worker's child process is running.

    Args:
        name: The function's name, with the number of calls if there are several.
        pid: The id of the child process.
    """

    name: str
    pid: int


def scale(broker_url: str, processes: int) -> int | None:
    """Ask the one worker of an embedded cluster for a number of child processes.

    Returns:
        How many it has now; None if it did not answer, as happens while it starts.

    Raises:
        redis.RedisError: Redis cannot be reached, or refuses.
    """
    with connect(broker_url) as connection:
        command = sign_command(
            connection.keyring, SCALE, connection.clock.now(), processes=processes
        )
        answers = ask(
            connection, SCALE, {"command": command}, _processes_in, wanted=1, timeout=ANSWER_WITHIN
        )
    return next(iter(answers.values()), None)


def active(broker_url: str, names: Collection[str] | None = None) -> Answers[list[Running]]:
    """Return what each worker is running, by the worker's name. The answers are not signed.

    Args:
        broker_url: The workers' broker.
        names: Workers to ask; None: all.

    Raises:
        redis.RedisError: Redis cannot be reached, or refuses.
    """
    with connect(broker_url) as connection:
        return ask(connection, "active", {}, _running_in, names=names, timeout=ANSWER_WITHIN)


def _processes_in(said: Any) -> int:
    match said:
        case {"ok": count} if _number(count):
            return int(count)
    raise ValueError("without a number of processes")


def _running_in(said: Any) -> list[Running]:
    if not isinstance(said, list):
        raise ValueError("without a list of what runs")
    return [_task_in(task) for task in said]


def _task_in(task: Any) -> Running:
    match task:
        case {"name": name, "worker_pid": pid} if text(name) and _number(pid):
            return Running(name, pid)
    raise ValueError("with something in the list that no worker runs")
