"""A Celery application that uses the broker that it was given, and no other.

In Celery, the variable ``CELERY_BROKER_URL`` takes precedence over the application's own URL. So a
worker of the embedded cluster, or one with ``--broker``, would listen to the broker in that
variable. Celery's own setting for this, ``broker_read_url``, does not help: Celery shows it with
its password in ``celery report`` and to every sender of a remote control command.
"""

from typing import Any

from celery import Celery

from distribute_challenge.execution_backends.celery.broker.tls import checked

__all__ = ["BoundCelery"]


class BoundCelery(Celery):  # type: ignore[misc] # Celery has no types
    """A Celery application for one broker; workers use it.

    Args:
        name: The name of the application.
        url: The broker; None: Celery chooses one.
        options: As for `celery.Celery`.

    Attributes:
        url: The broker, with an explicit check of its certificate, which kombu leaves out by
            default.
    """

    def __init__(self, name: str, url: str | None, **options: Any) -> None:
        self.url = url and checked(url)
        super().__init__(name, broker=self.url, **options)

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(self.url or url, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(self.url or url, **options)
