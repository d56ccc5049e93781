"""The log of a real worker that logs all it does: words of an attacker do not act on it."""

import json
from pathlib import Path

import pytest

from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.ping import ping
from distribute_challenge.execution_backends.celery.broker.remote_control import channel
from tests.execution_backends.celery.conftest import Server
from tests.fuzz.checks import NASTY, assert_log_is_clean
from tests.fuzz.gate import command_envelope
from tests.processes import PATIENCE, wait_until
from tests.workers import start_worker

pytestmark = [pytest.mark.celery, pytest.mark.slow]


def test_control_characters_in_commands_do_not_act_on_the_log(
    server: Server, tmp_path: Path
) -> None:
    """Celery and kombu log some of them as they are, if they are asked to say all that they do."""
    with (
        start_worker(
            f"{server.url}?virtual_host=3", tmp_path, options=["--loglevel", "debug"]
        ) as worker,
        connect(f"{server.url}?virtual_host=3") as connection,
    ):
        assert ping(connection, timeout=PATIENCE)
        for envelope in (
            command_envelope("ping", {NASTY: 1}),
            command_envelope("query_task", {"ids": [NASTY]}),
            command_envelope("registered", {"taskinfoitems": [NASTY], NASTY: NASTY}),
            command_envelope(
                "ping", ticket=NASTY, reply_to={"exchange": NASTY, "routing_key": NASTY}
            ),
            command_envelope("ping", pattern=NASTY, matcher="glob"),
            command_envelope(NASTY),
        ):
            connection.publish(channel(connection), json.dumps(envelope))
        wait_until(lambda: "refused a command" in worker.output, "the last of them")
        assert "pidbox received method" in worker.output
        assert_log_is_clean(worker)
