"""CPython's own tests of queues, run with `Queue` in the place of `queue.Queue`.

`binding.cpython_tests` says where they come from.

All tests of `BaseQueueTestMixin` are run. The others test classes and methods that `Queue` does not
have: `LifoQueue`, `PriorityQueue` and `SimpleQueue`; and ``_put`` and ``_get``, which subclasses of
`queue.Queue` replace.
"""

import queue
import unittest
from typing import Any

import pytest

from distribute_challenge import Queue
from tests.foreign.binding import cpython_tests

t: Any = cpython_tests("test_queue")
pytestmark = [pytest.mark.slow, pytest.mark.celery]


class TestQueue(t.BaseQueueTestMixin, unittest.TestCase):
    queue = queue

    @staticmethod
    def type2test(maxsize: int = 0) -> Queue[Any]:
        return Queue(maxsize=maxsize)
