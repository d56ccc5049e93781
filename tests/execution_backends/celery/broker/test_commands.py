"""Orders to cancel, as text."""

import pytest

from distribute_challenge.errors import ForgedError
from distribute_challenge.execution_backends.celery.broker.commands import (
    CANCEL,
    CancelCommand,
    sign_command,
)
from tests.secret import KEYRING


def test_a_cancel_command_is_ascii_text_and_reads_back_unchanged() -> None:
    """It travels as plain text."""
    command = CancelCommand({"c-1": [0, 3], "c-2": None}, client="c")
    assert command.text(KEYRING).isascii()
    assert CancelCommand.read(KEYRING, command.text(KEYRING)) == command


@pytest.mark.parametrize(
    "text", ["", "?", "e30=e30=", "W10=", 7, None, sign_command(KEYRING, CANCEL, surprise=1)]
)
def test_any_other_text_is_refused_as_a_cancel_command(text: object) -> None:
    with pytest.raises(ForgedError):
        CancelCommand.read(KEYRING, text)
