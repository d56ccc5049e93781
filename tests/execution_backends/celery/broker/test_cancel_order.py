"""Orders to cancel, as text."""

import pytest

from distribute_challenge.errors import ForgedError
from distribute_challenge.execution_backends.celery.broker.cancel_order import CancelOrder
from distribute_challenge.execution_backends.celery.broker.orders import CANCEL, sealed_order
from tests.secret import KEYRING


def test_an_order_comes_through_remote_control_as_it_was() -> None:
    """As plain text."""
    order = CancelOrder({"c-1": [0, 3], "c-2": None}, client="c")
    assert order.text(KEYRING).isascii()
    assert CancelOrder.read(KEYRING, order.text(KEYRING)) == order


@pytest.mark.parametrize(
    "text", ["", "?", "e30=e30=", "W10=", 7, None, sealed_order(KEYRING, CANCEL, surprise=1)]
)
def test_anything_else_is_no_order(text: object) -> None:
    with pytest.raises(ForgedError):
        CancelOrder.read(KEYRING, text)
