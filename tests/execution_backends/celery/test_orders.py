"""Orders as text."""

import time

import pytest

from distribute_challenge.execution_backends.celery.orders import Order


def test_an_order_comes_through_remote_control_as_it_was() -> None:
    """As plain text."""
    order = Order({"c-1": [0, 3], "c-2": None}, client="c", spared=["c-9"])
    assert order.text().isascii()
    assert Order.read(order.text()) == order
    assert abs(order.issued - time.time()) < 60


@pytest.mark.parametrize("text", ["", "?", "e30=e30=", "W10=", "bm8="])
def test_anything_else_is_no_order(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Order.read(text)
