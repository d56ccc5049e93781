"""The checks of this library's ``worker`` command, for workers that Celery's own command starts.

That is ``celery -A distribute_challenge.execution_backends.celery worker``.

Every user of the machine can read a password on a command line. This library's own command starts
itself anew without it (``cli.broker``). Celery's command cannot be told to, but where setproctitle
is installed, it replaces its command line by one that it makes from ``sys.argv``.
"""

import contextlib
import sys
from typing import Any

from celery import signals

from distribute_challenge.errors import BrokerUnreachableError, OptionError
from distribute_challenge.execution_backends.celery.broker.connection import check_reachable
from distribute_challenge.log import logger
from distribute_challenge.settings import masked

__all__ = ["WARNING", "check_broker", "hide_passwords"]

WARNING = (
    "a password stands on this worker's command line, where every user of this machine can read "
    "it: leave --broker away, and set "
    "the variable CELERY_BROKER_URL to the address"
)


def hide_passwords() -> None:
    """Have Celery's own command take passwords out of ``sys.argv`` and log a warning."""
    signals.celeryd_init.connect(_hide)


def _hide(**_: Any) -> None:
    hidden = [masked(argument) for argument in sys.argv]
    if hidden != sys.argv:
        sys.argv[:] = hidden
        signals.celeryd_after_setup.connect(_warn)


def _warn(**_: Any) -> None:
    logger.warning(WARNING)


def check_broker() -> None:
    """Have Celery's own command end with an error if the broker cannot be used."""
    signals.celeryd_init.connect(_check)


def _check(instance: Any, **_: Any) -> None:
    try:
        # Celery itself waits for a broker that does not answer yet.
        with contextlib.suppress(BrokerUnreachableError):
            check_reachable(instance.app.url)
    except OptionError as error:
        # Celery logs other exceptions of its hooks, and goes on.
        raise SystemExit(f"Error: {error}") from None
