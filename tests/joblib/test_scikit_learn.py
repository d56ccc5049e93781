"""scikit-learn on the joblib backend: the results are those that it gives with loky."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from distribute_challenge import LocalCluster
from tests.optional import needed

joblib = needed("joblib")
numpy = needed("numpy")
needed("sklearn")

from sklearn.datasets import make_classification  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_validate  # noqa: E402
from sklearn.svm import SVC  # noqa: E402

import distribute_challenge.joblib  # noqa: E402, F401

pytestmark = [pytest.mark.celery, pytest.mark.slow]

# Large enough to travel apart from messages: workers see the data read-only, as loky's do.
X, Y = make_classification(2000, 100, random_state=0)

Results = Callable[[Callable[[], Any]], tuple[Any, Any]]


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    """What a function returns with loky, and with our backend."""
    with LocalCluster(workers=2, logs=False) as cluster:

        def both(function: Callable[[], Any]) -> tuple[Any, Any]:
            with joblib.parallel_config("loky", n_jobs=2):
                with_loky = function()
            with joblib.parallel_config(
                "distribute_challenge", n_jobs=2, execution_backend=cluster.backend
            ):
                return with_loky, function()

        yield both


def test_a_grid_search_finds_the_same_parameters_as_with_loky(results: Results) -> None:
    def search() -> Any:
        return GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, cv=2).fit(X[:300], Y[:300])

    with_loky, ours = results(search)
    assert ours.best_params_ == with_loky.best_params_
    for name, scores in with_loky.cv_results_.items():
        if not name.endswith("_time"):
            numpy.testing.assert_array_equal(ours.cv_results_[name], scores)


def test_a_cross_validation_gives_the_same_scores(results: Results) -> None:
    """Its estimator uses `Parallel` inside each call."""

    def validate() -> Any:
        forest = RandomForestClassifier(5, max_depth=3, random_state=0, n_jobs=2)
        return cross_validate(forest, X, Y, cv=3, return_train_score=True)

    with_loky, ours = results(validate)
    for name in ("test_score", "train_score"):
        numpy.testing.assert_array_equal(ours[name], with_loky[name])


def test_a_random_forest_grows_the_same_trees(results: Results) -> None:
    """To predict, it asks for threads, where the order in which it adds is not fixed."""

    def grow() -> Any:
        forest = RandomForestClassifier(10, max_depth=4, random_state=0).fit(X, Y)
        return forest, forest.predict_proba(X)

    (with_loky, probabilities), (ours, our_probabilities) = results(grow)
    for mine, other in zip(ours.estimators_, with_loky.estimators_, strict=True):
        numpy.testing.assert_array_equal(mine.predict_proba(X), other.predict_proba(X))
    numpy.testing.assert_allclose(our_probabilities, probabilities, rtol=1e-12)
