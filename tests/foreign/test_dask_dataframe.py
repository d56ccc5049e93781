"""`dask.dataframe`'s tests of group-by: a test of each kind, as all of them take ten minutes.

They need pandas and pyarrow, which are 250 MB, and are no part of the ``test`` extra.
"""

import pytest

from tests.foreign.binding import taken_from

pytest.importorskip(
    "dask.dataframe", reason="pandas and pyarrow are not installed", exc_type=ImportError
)

ONLY = [
    "test_apply_divisions",
    "test_dataframe_groupby_agg_custom_sum",
    "test_get_group",
    "test_groupby_agg",
    "test_groupby_agg_meta_error",
    "test_groupby_aggregate_series_split_out",
    "test_groupby_apply",
    "test_groupby_cov",
    "test_groupby_ffill_bfill",
    "test_groupby_index",
    "test_groupby_median",
    "test_groupby_nunique",
    "test_groupby_reduction_shuffle",
    "test_groupby_rolling",
    "test_groupby_series",
    "test_groupby_shift",
    "test_groupby_split_every",
    "test_groupby_transform",
    "test_size",
    "test_std_var_slice",
    "test_unique",
    "test_value_counts_split_out",
]
globals().update(taken_from("dask.dataframe.dask_expr.tests.test_groupby", ONLY))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("dask_scheduler"),
]
