"""`dask.tests.test_callbacks`."""

import pytest

from tests.foreign.binding import taken_from
from tests.optional import needed

needed("dask")
globals().update(taken_from("dask.tests.test_callbacks"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("dask_scheduler"),
]

LEFT_OUT: dict[str, str] = {}
