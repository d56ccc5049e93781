"""Dask's own tests of schedulers and of callbacks, on `get`."""

import pytest
from dask.utils_test import GetFunctionTestMixin

from distribute_challenge.dask import get
from tests.foreign.binding import taken_from

globals().update(taken_from("dask.tests.test_callbacks"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("dask_scheduler"),
]


class TestGet(GetFunctionTestMixin):
    get = staticmethod(get)
