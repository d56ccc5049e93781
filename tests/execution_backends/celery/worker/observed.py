"""A worker, and what is seen of it from outside: events, spans and its log."""

import json
from typing import Any

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.processes import Program, wait_until

TRACED = """
from celery.signals import worker_process_init
from distribute_challenge.execution_backends.celery import app

@worker_process_init.connect(weak=False)
def set_up(**_):
    from opentelemetry import trace
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    spans = open("spans", "a", buffering=1)
    exporter = ConsoleSpanExporter(out=spans, formatter=lambda span: span.to_json(indent=None) + "\\n")
    trace.set_tracer_provider(TracerProvider())
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    CeleryInstrumentor().instrument()
"""


class Observed:
    """A worker, and what is seen of it from outside."""

    def __init__(self, server: Server, worker: Program, backend: CeleryExecutionBackend) -> None:
        self.url = server.url
        self.folder = server.folder
        self.worker = worker
        self.backend = backend
        self.events: list[dict[str, Any]] = []

    def take(self, event: dict[str, Any]) -> None:
        if event["type"].startswith("task-"):
            self.events.append(event)

    def event_of(self, name: str, *kinds: str) -> dict[str, Any]:
        """The last event of a function's message."""
        found: list[dict[str, Any]] = []

        def came() -> bool:
            ids = [event["uuid"] for event in list(self.events) if event.get("name") == name]
            found[:] = [
                event
                for event in list(self.events)
                if event["uuid"] in ids and event["type"] in kinds
            ]
            return bool(found)

        wait_until(came, f"an event {kinds} of {name}", within=3 * DEADLINE)
        return found[-1]

    def spans(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "spans").read_text().splitlines()]


@compute_this
def warm_up() -> None:
    pass


def heard(observed: Observed) -> bool:
    """Whether events of a call have come."""
    warm_up().compute(observed.backend)
    return any(event["type"] == "task-succeeded" for event in list(observed.events))
