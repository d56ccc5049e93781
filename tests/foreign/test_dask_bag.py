"""`dask.bag.tests.test_bag`."""

import pytest

from tests.foreign.binding import taken_from
from tests.optional import needed

needed("dask")
globals().update(taken_from("dask.bag.tests.test_bag"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("dask_scheduler"),
]

LEFT_OUT: dict[str, str] = {}
