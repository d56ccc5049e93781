"""The exception of a queue that was shut down."""

import queue
import sys

from distribute_challenge.core.shut_down import ShutDown


def test_shut_down_is_the_exception_of_the_standard_library_if_there_is_one() -> None:
    assert ShutDown.__name__ == "ShutDown"
    if sys.version_info >= (3, 13):
        assert ShutDown is queue.ShutDown
