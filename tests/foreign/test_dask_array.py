"""`dask.array.tests.test_reductions`: a test of each kind, as all of them take ten minutes."""

import pytest

from tests.foreign.binding import taken_from

ONLY = [
    "test_arg_reductions",
    "test_array_cumreduction_out",
    "test_array_reduction_out",
    "test_cumreduction_no_rechunk_on_1d_array",
    "test_general_reduction_names",
    "test_mean_func_does_not_warn",
    "test_median",
    "test_min_max_empty_chunks",
    "test_moment",
    "test_nan",
    "test_nanarg_reductions",
    "test_numel",
    "test_object_reduction",
    "test_reduction_errors",
    "test_reductions_0D",
    "test_reductions_with_empty_array",
    "test_reductions_with_negative_axes",
    "test_topk_argtopk3",
    "test_trace",
    "test_tree_reduce_depth",
    "test_tree_reduce_set_options",
    "test_weighted_reduction",
]
globals().update(taken_from("dask.array.tests.test_reductions", ONLY))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("dask_scheduler"),
]
