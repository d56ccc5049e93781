"""`dask.bag.tests.test_bag`, all tests but those that are listed."""

import pytest

from tests.foreign.binding import taken_from

globals().update(taken_from("dask.bag.tests.test_bag"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("dask_scheduler"),
]

LEFT_OUT = {
    "test_to_delayed_optimize_graph": "it counts how often a task runs in its own process",
    "test_repartition_partition_size_complex_dtypes": "it compares arrays by their identity",
    "test_bag_with_single_callable": "it compares a function of a test by its identity",
    "test_reductions_are_lazy": "a generator that has begun stands in its graph",
    "test_groupby_tasks_2[12345-234-1042]": "its 49,000 tasks take too long for a test",
    **{
        f"{name}[processes-{parameters}]": "it names Dask's own scheduler of processes"
        for name, parameters in [
            ("test_bag_groupby_none", "disk"),
            ("test_bag_groupby_none", "tasks"),
            ("test_bag_groupby_dataclass", "disk-none_field"),
            ("test_bag_groupby_dataclass", "disk-no_none_fields"),
            ("test_bag_groupby_dataclass", "tasks-none_field"),
            ("test_bag_groupby_dataclass", "tasks-no_none_fields"),
        ]
    },
}
