"""What Prometheus reads."""

from distribute_challenge.dashboard.metrics import metrics
from tests.dashboard.snapshots import snapshot
from tests.optional import needed

parser = needed("prometheus_client.parser")


def samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = parser.text_string_to_metric_families(metrics(snapshot()))
    return {
        (
            each.name.removeprefix("distribute_challenge_"),
            frozenset(each.labels.items()),
        ): each.value
        for family in families
        for each in family.samples
    }


def of(name: str, **labels: str) -> float:
    return samples()[name, frozenset(labels.items())]


def test_the_prometheus_parser_reads_the_metrics() -> None:
    """Labels may have any characters."""
    assert of("workers") == 1
    assert of("busy_processes") == 1
    assert of("unfinished_calls", queue="queue") == 70
    assert of("queue_items", queue="jobs", state="waiting") == 3
    assert of("queue_items", queue="all\n", state="dead") == 0
    assert of("graph_calls", graph="total", state="ended") == 15
    assert of("graph_calls", graph="total", state="waiting") == 6
    assert of("calls_total", function="square") == 30
    assert of("failed_calls_total", function="square") == 3
    assert of("call_seconds_total", function='a "b"\\\n') == 0
    assert of("worker_memory_bytes", worker="w@vm") == 200
    assert of("worker_refused_messages_total", worker="w@vm") == 4


def test_ended_workers_have_no_metrics() -> None:
    assert not [labels for _, labels in samples() if ("worker", "x@vm") in labels]


def test_graphs_that_are_over_have_none() -> None:
    assert not [labels for _, labels in samples() if ("graph", "mean") in labels]


def test_metrics_that_only_grow_have_the_type_counter() -> None:
    families = parser.text_string_to_metric_families(metrics(snapshot()))
    kinds = {family.name: family.type for family in families}
    assert kinds["distribute_challenge_calls"] == "counter"
    assert kinds["distribute_challenge_workers"] == "gauge"
