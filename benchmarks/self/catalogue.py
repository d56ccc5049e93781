"""Lists the measurements in the order of the table.

To add one, write a function that takes the number of workers and returns numbers by name, and add
it here. Do not rename figures: the comparison with older files finds them by name.
"""

from collections.abc import Sequence

from benchmarks.choosing import select
from benchmarks.self.figure import Figure
from benchmarks.self.measurement import Measurement

__all__ = ["CATALOGUE", "chosen"]

# Equal runs may differ by this much, depending on where the allocator finds room.
FEW_MEGABYTES = 5.0
WAYS = ("map", "submit")


def _cpu(name: str, what: str) -> tuple[Figure, ...]:
    kinds = {
        "client": "client",
        "main": "worker main process",
        "child": "worker children",
        "redis": "Redis",
    }
    # The system counts CPU time in hundredths of a second: less than a microsecond for each call is
    # not resolved.
    return tuple(
        Figure(f"{name}_cpu_{kind}", f"CPU of each {what}: {title}", "µs", smallest=1.0)
        for kind, title in kinds.items()
    )


_MEASUREMENTS = (
    Measurement(
        "import",
        "start:import_seconds",
        (Figure("import", "`from distribute_challenge import compute_this`", "s"),),
    ),
    Measurement(
        "start",
        "start:first_result",
        (Figure("first_result", "start of a script to its first result, nothing configured", "s"),),
    ),
    Measurement(
        "round_trip",
        "latency:round_trip",
        (
            Figure("round_trip_p50", "`compute()` of a call that does nothing, median", "ms"),
            Figure(
                "round_trip_p99", "`compute()` of a call that does nothing, 99th percentile", "ms"
            ),
            *_cpu("round_trip", "`compute()`"),
        ),
    ),
    Measurement(
        "failures",
        "failures:failed",
        (
            Figure("failed_round_trip_p50", "`compute()` of a call that raises, median", "ms"),
            Figure(
                "failed_map",
                "`map` over 20,000 calls that raise, exceptions in a list",
                "calls/s",
                more_is_better=True,
            ),
            Figure(
                "traceback_packed",
                "an exception with a traceback of one line, pickled by its worker",
                "µs",
            ),
            Figure("traceback_loaded", "the same, made again by its client", "µs"),
        ),
    ),
    Measurement(
        "submit",
        "throughput:submitted",
        (
            Figure(
                "submit_and_results",
                "100,000 `submit()` and all their results",
                "calls/s",
                more_is_better=True,
            ),
            Figure("submit_alone", "of these, `submit()` alone", "calls/s", more_is_better=True),
            *_cpu("submit", "`submit()`"),
        ),
        deadline=120.0,
    ),
    Measurement(
        "script",
        "script:submitted_by_script",
        (
            Figure(
                "script_submit_and_results",
                "the same with a function of a script instead of a module",
                "calls/s",
                more_is_better=True,
            ),
        ),
    ),
    Measurement(
        "map",
        "throughput:mapped",
        (
            Figure(
                "map",
                "`map` over 1,000,000 items, results in a list",
                "calls/s",
                more_is_better=True,
            ),
            Figure(
                "map_memory_client",
                "memory that this map added: client",
                "MB",
                smallest=FEW_MEGABYTES,
            ),
            Figure(
                "map_memory_child",
                "memory that this map added: worker process",
                "MB",
                smallest=FEW_MEGABYTES,
            ),
            *_cpu("map", "call of it"),
        ),
    ),
    Measurement(
        "consumed",
        "throughput:consumed",
        (
            Figure(
                "consumed_seconds",
                "1,000,000 results of `map(…, ordered=False)` consumed as they come",
                "s",
            ),
            Figure(
                "consumed_memory_client",
                "memory that this added at its highest: client",
                "MB",
                smallest=FEW_MEGABYTES,
            ),
            Figure(
                "consumed_memory_child",
                "memory that this added: worker process",
                "MB",
                smallest=FEW_MEGABYTES,
            ),
        ),
    ),
    Measurement(
        "shared_array",
        "shared:shared_array",
        (
            Figure(
                "shared_redis",
                "50 MB array to 200 calls: through Redis",
                "MB",
                smallest=FEW_MEGABYTES,
            ),
            Figure("shared_first", "50 MB array to 200 calls: the first call", "ms"),
            Figure("shared_later", "50 MB array to 200 calls: each after the first, median", "ms"),
            Figure(
                "shared_memory",
                "50 MB array to 200 calls: worker's own memory",
                "MB",
                smallest=FEW_MEGABYTES,
            ),
        ),
    ),
    Measurement(
        "printing",
        "printing:printed",
        (
            Figure(
                "printing_ratio",
                "100 MB printed in calls: shown at the client, of not shown",
                "× the time",
            ),
            Figure("printing_shown", "`compute()` of a call that prints one line, shown", "ms"),
            Figure("printing_silent", "the same, not shown", "ms"),
            Figure(
                "printing_longest",
                "10,000 lines of 100 calls: from the call to the client's screen, the longest",
                "ms",
            ),
            Figure(
                "printing_late",
                "the last of them on the screen, after the last result",
                "ms",
                smallest=10.0,
            ),
        ),
        is_long=True,
        deadline=300.0,
    ),
    Measurement(
        "uneven",
        "uneven:uneven",
        tuple(
            Figure(f"uneven_{way}", f"1 call of 10 s and 40 of 0.1 s on 8 slots, `{way}`", "s")
            for way in WAYS
        ),
        is_long=True,
    ),
    Measurement(
        "many_workers",
        "uneven:many_workers",
        tuple(
            Figure(
                f"many_workers_{way}",
                f"10,000 calls of 0.1 s on 64 workers, `{way}`",
                "% of ideal",
                more_is_better=True,
            )
            for way in WAYS
        ),
        is_long=True,
        deadline=180.0,
    ),
    Measurement(
        "jumps",
        "bad_cases:jumps",
        tuple(
            Figure(f"jumps_{way}", f"durations that jump from 1 µs to 1 s, `{way}`", "× ideal")
            for way in WAYS
        ),
        is_long=True,
        deadline=120.0,
    ),
    Measurement(
        "mix",
        "bad_cases:mix",
        tuple(
            Figure(f"mix_{way}", f"a random mix of 1 ms and 1 s, `{way}`", "× ideal")
            for way in WAYS
        ),
        is_long=True,
        deadline=120.0,
    ),
    Measurement(
        "trapped",
        "bad_cases:trapped",
        tuple(
            Figure(
                f"trapped_{way}", f"the 8,000 calls of 1 ms around one of 5 s, `{way}`", "× ideal"
            )
            for way in WAYS
        ),
        is_long=True,
    ),
    Measurement(
        "flood",
        "bad_cases:flood",
        (
            Figure("flood", "a flood of 100,000 calls of 0.1 ms", "× ideal"),
            Figure("flood_default_p50", "`compute()` in the middle of it, median", "ms"),
            Figure("flood_default_p99", "`compute()` in the middle of it, 99th percentile", "ms"),
            Figure("flood_default_ratio", "`compute()` in the middle of it", "× idle"),
            Figure("flood_urgent_p50", "`compute()` with `priority=9`, median", "ms"),
            Figure("flood_urgent_p99", "`compute()` with `priority=9`, 99th percentile", "ms"),
            Figure("flood_urgent_ratio", "`compute()` with `priority=9`", "× idle"),
        ),
        is_long=True,
        deadline=120.0,
    ),
    Measurement(
        "two_clients",
        "bad_cases:two_clients",
        (
            Figure("one_client", "one client, 16,000 calls of 1 ms", "× ideal"),
            Figure("two_clients", "two clients at once, 8,000 each", "× ideal"),
            Figure("two_clients_faster", "the faster of the two", "calls/s", more_is_better=True),
            Figure("two_clients_slower", "the slower of the two", "calls/s", more_is_better=True),
            Figure(
                "two_clients_fairness",
                "time of the faster, of the time of the slower",
                "%",
                more_is_better=True,
            ),
        ),
        is_long=True,
        deadline=120.0,
    ),
)

CATALOGUE = {measurement.name: measurement for measurement in _MEASUREMENTS}


def chosen(names: Sequence[str], *, quick: bool = False) -> list[Measurement]:
    """Return the measurements of these names, in the catalogue's order.

    If no name is given, all are returned, or all short ones if `quick` is set.

    Raises:
        KeyError: No measurement has one of the names.
    """
    return [
        each
        for each in select(CATALOGUE, names, "measurement")
        if names or not (quick and each.is_long)
    ]
