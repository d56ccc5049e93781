"""The Celery application that a worker runs."""

from pathlib import Path

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.execution_backends.celery.worker.app import make_app
from tests.execution_backends.celery.conftest import DEADLINE


def test_the_app_uses_the_given_broker_and_not_the_environment(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """Celery by itself would prefer the variable."""
    clean_environment.setenv("CELERY_BROKER_URL", "redis://elsewhere:1/0")
    app = make_app("redis://here:2/0")
    for connection in (
        app.connection_for_read(),
        app.connection_for_write(),
        app.connection(),
        app.pool.connection,
    ):
        assert (connection.hostname, connection.port) == ("here", 2)
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BROKER_URL", "redis://there:3/0")
    assert make_app().connection_for_read().hostname == "there"


def test_the_app_checks_the_certificate_of_its_broker() -> None:
    """kombu would not, where the address says nothing of it."""
    assert (
        make_app("rediss://example.org:6380/0").url
        == "rediss://example.org:6380/0?ssl_cert_reqs=required"
    )


def test_the_app_shows_its_settings_without_the_password(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """``celery report`` shows them, and so do programs with remote control, such as Flower."""
    app = make_app("redis://ann:hunter2@here:2/0")
    assert "redis://ann:********@here:2/0" in str(app.conf.humanize())
    assert (
        "hunter2"
        not in str(app.conf.humanize()) + str(app.conf.table()) + repr(app) + app.bugreport()
    )


@pytest.mark.slow
@pytest.mark.celery
def test_an_embedded_cluster_ignores_the_configured_broker(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """Its worker, and what tells it how many processes it shall have."""
    clean_environment.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    with LocalCluster(workers=1) as cluster:
        assert compute_this(Path.cwd)().compute(timeout=DEADLINE)
        cluster.scale(2)
