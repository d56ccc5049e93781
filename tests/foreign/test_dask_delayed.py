"""`dask.tests.test_delayed`, all tests but those that are listed."""

import pytest

from tests.foreign.binding import taken_from

globals().update(taken_from("dask.tests.test_delayed"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("dask_scheduler"),
]

LEFT_OUT = {"test_traverse_false": "it compares a value of a call by its identity"}
