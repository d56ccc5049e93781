"""A Celery application that uses the broker it was told, and no other.

To Celery, the variable ``CELERY_BROKER_URL`` counts more than what an application is given. So a
worker of the embedded cluster, or one with ``--broker``, would listen to whatever that variable is
there for. Celery's own way around it, the setting ``broker_read_url``, is none: Celery shows that
one with its password, in ``celery report`` and to whoever asks by remote control.
"""

from typing import Any

from celery import Celery

from distribute_challenge.execution_backends.celery.broker.tls import checked

__all__ = ["BoundCelery"]


class BoundCelery(Celery):  # type: ignore[misc] # Celery has no types
    """Celery, for one broker.

    Args:
        name: Of the application.
        url: The broker; None: as Celery finds one.
        options: As for `celery.Celery`.

    Attributes:
        url: The broker, with the check of its certificate spelled out, which kombu leaves out by
            itself.
    """

    def __init__(self, name: str, url: str | None, **options: Any) -> None:
        self.url = url and checked(url)
        super().__init__(name, broker=self.url, **options)

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(self.url or url, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(self.url or url, **options)
