"""The library behind other interfaces, beside what these run on otherwise."""

from pathlib import Path

import pytest

from benchmarks.faces.benchmark import FACES
from benchmarks.sessions.entry import OURS
from tests.benchmarks.sessions.asking import figure
from tests.optional import needed


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("system", [OURS, "ProcessPoolExecutor"])
def test_executors_run_all_calls(system: str, tmp_path: Path) -> None:
    assert figure(FACES, "submit", system, tmp_path) > 0


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("name", ["roots", "grid_search"])
@pytest.mark.parametrize("system", [OURS, "loky"])
def test_joblib_runs_on_each_backend(name: str, system: str, tmp_path: Path) -> None:
    needed("joblib")
    if name == "grid_search":
        needed("sklearn")
    assert figure(FACES, name, system, tmp_path) > 0


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("name", ["dot", "group_by"])
@pytest.mark.parametrize("system", [OURS, "Dask's threads"])
def test_collections_of_dask_are_computed_on_each_scheduler(
    name: str, system: str, tmp_path: Path
) -> None:
    """Dask's own cluster is left out, as it takes long to start."""
    needed("dask")
    if name == "group_by":
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
    assert figure(FACES, name, system, tmp_path) > 0


@pytest.mark.slow
@pytest.mark.parametrize("system", FACES.measurements["engine_dask"].systems)
def test_an_engine_is_measured_beside_its_own_way(system: str, tmp_path: Path) -> None:
    needed("distributed")
    assert figure(FACES, "engine_dask", system, tmp_path) > 0


def test_every_measurement_has_a_target() -> None:
    figures = {target.figure for target in FACES.benchmark.targets}
    assert figures == {each.figure for each in FACES.measurements.values()}
