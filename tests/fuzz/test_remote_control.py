"""Commands that a worker gets by remote control: it takes only harmless or sealed ones."""

import base64
import contextlib
import json
import time
from typing import Any

import pytest
from kombu.transport.virtual import Message

from distribute_challenge.errors import ForgedError
from distribute_challenge.execution_backends.celery.broker.commands import (
    SCALE,
    open_command,
    sign_command,
)
from distribute_challenge.execution_backends.celery.worker.gate import COMMANDS
from distribute_challenge.security import Purpose
from tests.fuzz.gate import OTHER, OTHER_COMMANDS, Bench, command_envelope
from tests.fuzz.mutation import Mutator
from tests.secret import KEYRING

pytestmark = pytest.mark.usefixtures("no_pickle")


@pytest.mark.slow
def test_mutated_orders_are_refused_or_harmless(bench: Bench) -> None:
    """The gate lets in commands that only tell something, or that have the right seal."""
    mutator = Mutator(3)
    command = sign_command(bench.gate.keyring, SCALE, processes=2)
    valid = [
        command_envelope("ping"),
        command_envelope(SCALE, {"command": command}),
        command_envelope("pool_restart"),
    ]
    let_in = 0
    for number in range(7_500):
        changed = mutator.json(mutator.random.choice(valid))
        if number % 2 and isinstance(changed, dict):
            body = mutator.text(json.loads(base64.b64decode(mutator.random.choice(valid)["body"])))
            changed["body"] = base64.b64encode(body).decode()
        before = bench.gate.refusals.total
        taken = bench.gate.command(changed)
        assert (taken is None) == (bench.gate.refusals.total == before + 1)
        if taken is not None:
            let_in += 1
            said = json.loads(taken["body"])
            assert said["method"] in COMMANDS
            assert said["method"] != SCALE or said["arguments"]["command"] == command
            Message(taken, bench.channel)
    assert let_in > 500


@pytest.mark.parametrize("method", OTHER_COMMANDS)
def test_commands_that_change_something_or_tell_too_much_are_refused(
    bench: Bench, method: str
) -> None:
    assert bench.gate.command(command_envelope(method)) is None
    assert bench.gate.refusals.total == 1


@pytest.mark.slow
def test_orders_without_their_seal_are_refused() -> None:
    """The seal is missing, nonsense, old, or of another secret or command."""
    mutator = Mutator(4)
    good = sign_command(KEYRING, SCALE, processes=2)
    assert open_command(KEYRING, SCALE, good) == {"processes": 2}

    def sealed(content: Any) -> str:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        return base64.b64encode(KEYRING.seal(Purpose.COMMAND, [text])).decode()

    plain = {"command": SCALE, "issued": time.time(), "content": {"processes": 2}}
    refused: list[Any] = [
        None,
        1,
        "",
        "é",
        [good],
        good[:-4],
        sign_command(OTHER, SCALE, processes=2),
        sign_command(KEYRING, "x"),
    ]
    refused += [
        sealed({**plain, "issued": issued})
        for issued in (0, time.time() + 3700, float("nan"), None, 10**400)
    ]
    refused += [
        sealed(b"\xff"),
        sealed(b"[" * 100_000),
        sealed([]),
        sealed({}),
        sealed({**plain, "content": []}),
    ]
    for command in refused:
        with pytest.raises(ForgedError):
            open_command(KEYRING, SCALE, command, time.time())
    for _ in range(2_500):
        made = mutator.raw([base64.b64decode(good)])
        for command in (base64.b64encode(made).decode(), sealed(mutator.text(plain))):
            with contextlib.suppress(ForgedError):
                assert isinstance(open_command(KEYRING, SCALE, command), dict)
