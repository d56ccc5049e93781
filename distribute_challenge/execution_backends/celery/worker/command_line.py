"""A password on the command line of ``celery -A distribute_challenge.execution_backends.celery worker``.

Every user of the machine can read that. This library's own command starts itself anew without it (``cli.broker``); Celery's cannot be
told to, but where setproctitle is installed, it replaces its command line by a line that it makes of ``sys.argv``.
"""

import sys
from typing import Any

from celery import signals

from distribute_challenge.log import logger
from distribute_challenge.settings import masked

__all__ = ["WARNING", "hide_passwords"]

WARNING = (
    "a password stands on this worker's command line, where every user of this machine can read it: leave --broker away, and set "
    "the variable CELERY_BROKER_URL to the address"
)


def hide_passwords() -> None:
    """When Celery's own command starts a worker, keep passwords out of the line that it shows; the log has a warning."""
    signals.celeryd_init.connect(_hide)


def _hide(**_: Any) -> None:
    hidden = [masked(argument) for argument in sys.argv]
    if hidden != sys.argv:
        sys.argv[:] = hidden
        signals.celeryd_after_setup.connect(_warn)


def _warn(**_: Any) -> None:
    logger.warning(WARNING)
