"""The targets of a run."""

from benchmarks.faces import dask, engines, executor, joblib
from benchmarks.sessions.results import Figure
from benchmarks.sessions.targets import Target, takes, times

__all__ = ["TARGETS"]

_FIGURES = {
    each.figure.key: each.figure
    for module in (executor, joblib, dask, engines)
    for each in module.MEASUREMENTS
}


def _beside_dask(what: str, figure: Figure) -> Target:
    return Target(
        what,
        "at most 1.2 × Dask's threads; at least 1.5 × faster than its LocalCluster",
        (takes(figure, "Dask's threads", 1.2), times(figure, "Dask's LocalCluster", 1.5)),
        figure,
    )


TARGETS = (
    Target(
        "`Executor.submit` of 10,000 calls",
        "at least 5 × ProcessPoolExecutor",
        (times(_FIGURES["submit"], "ProcessPoolExecutor", 5),),
        _FIGURES["submit"],
    ),
    Target(
        "joblib: 100,000 × `sqrt`",
        "no slower than loky",
        (takes(_FIGURES["roots"], "loky", 1),),
        _FIGURES["roots"],
    ),
    Target(
        "joblib: `GridSearchCV`, 18 fits",
        "at most 1.1 × loky",
        (takes(_FIGURES["grid_search"], "loky", 1.1),),
        _FIGURES["grid_search"],
    ),
    _beside_dask("Dask: product of random arrays, 8000 × 8000", _FIGURES["dot"]),
    _beside_dask("Dask: group-by of 10 million rows", _FIGURES["group_by"]),
    Target(
        "`map` of 100,000 calls on Dask",
        "at least 50 × `client.map`",
        (times(_FIGURES["engine_dask"], engines.DASK_MAP, 50),),
        _FIGURES["engine_dask"],
    ),
    Target(
        "`map` of 100,000 calls on Ray",
        "at least 20 × Ray's tasks",
        (times(_FIGURES["engine_ray"], engines.RAY_TASKS, 20),),
        _FIGURES["engine_ray"],
    ),
)
