"""Dask's own tests of schedulers, on `get`."""

from dask.utils_test import GetFunctionTestMixin

from distribute_challenge.dask import get


class TestGet(GetFunctionTestMixin):
    get = staticmethod(get)
