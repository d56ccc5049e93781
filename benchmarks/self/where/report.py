"""Writes where the time of calls goes, as Markdown tables."""

from collections.abc import Iterator, Mapping

from benchmarks.markdown import markdown_table, number
from benchmarks.self.report import whence
from benchmarks.self.results import Results
from benchmarks.self.where.catalogue import CATALOGUE, KINDS, TIMELINE
from benchmarks.self.where.stages import SPANS, STAGES

__all__ = ["breakdown_as_markdown"]

NOTHING = "-"
RARE = 0.05  # Commands that run less often than this share of the most frequent are heartbeats.


def breakdown_as_markdown(run: Results) -> str:
    """Return the tables of each measurement of a run, and what failed."""
    options = run.options
    parts = [
        whence(run),
        (
            f"{options['workers']} worker processes, median of rounds: {options['rounds']}; "
            "times in µs for each call"
        ),
    ]
    for name in CATALOGUE:
        values = {
            key.removeprefix(f"{name}."): series.median
            for key, series in run.series.items()
            if key.startswith(f"{name}.")
        }
        if values:
            parts.append(f"**{name}**: {number(values['whole'])} µs")
            parts += _tables(values)
    if run.errors:
        parts.append("\n".join(f"- {name} FAILED: {why}" for name, why in run.errors.items()))
    return "\n\n".join(parts)


def _tables(values: Mapping[str, float]) -> Iterator[str]:
    if f"stage.{STAGES[0].name}.wall" in values:
        yield _stages(values)
        yield (
            "Medians do not add up, so the shares are those of means: of the calls that are "
            "neither in the fastest quarter nor in the slowest. Without marks the median of the "
            f"whole is {number(values['unmarked'])} µs; {values['marked']:.1%} of the calls have "
            "all marks. The CPU time of stages with several processes is in the next table."
        )
        yield _beside(values)
    yield _processes(values)
    yield _commands(values)
    yield (
        f"Bytes a call: {number(values['redis.received'])} to Redis, "
        f"{number(values['redis.sent'])} from it."
    )
    if "timeline.waiting" in values:
        times = [number(values[f"timeline.{part}"]) for part in TIMELINE]
        yield markdown_table(
            ["by its timeline", "µs"], [*zip(TIMELINE.values(), times, strict=True)]
        )


def _stages(values: Mapping[str, float]) -> str:
    whole = values["typical"]
    rows, left = [], whole
    for stage in STAGES:
        found = f"stage.{stage.name}"
        typical, cpu = values[f"{found}.typical"], values.get(f"{found}.cpu")
        left -= typical
        rows.append(
            [
                stage.where,
                stage.title,
                number(values[f"{found}.wall"]),
                NOTHING if cpu is None else number(cpu),
                number(typical),
                f"{typical / whole:.1%}",
            ]
        )
    empty = [NOTHING, NOTHING]
    rows.append(["", "not explained", *empty, number(left), f"{left / whole:.1%}"])
    rows.append(["", "**the whole**", number(values["whole"]), NOTHING, number(whole), "100.0%"])
    heads = ["where", "stage", "median", "median CPU", "mean of the middle half", "share of it"]
    return markdown_table(heads, rows)


def _beside(values: Mapping[str, float]) -> str:
    """Return the CPU time of each process with marks: in the stages, beside them, and elsewhere."""
    rows = []
    for role in dict.fromkeys(stage.role for stage in STAGES):
        title, in_stages = KINDS[role], values[f"in_stages.{role}.cpu"]
        spans = [
            (span.title, values[f"span.{span.name}.cpu"]) for span in SPANS if span.role == role
        ]
        whole = values[f"marked.process.{role}.cpu"]
        left = whole - in_stages - sum(cpu for _, cpu in spans)
        rows += [
            [title, what, number(cpu)]
            for what, cpu in [
                ("in the stages", in_stages),
                *spans,
                ("not explained: switches, other threads, what is between", left),
                ("**all**", whole),
            ]
        ]
    return markdown_table(["process", "what", "CPU with marks"], rows)


def _processes(values: Mapping[str, float]) -> str:
    rows = []
    for kind, title in KINDS.items():
        found = [
            values.get(f"process.{kind}.{what}") for what in ("cpu", "waits", "read", "written")
        ]
        rows.append([title, *(NOTHING if each is None else number(each) for each in found)])
    return markdown_table(
        ["process", "CPU", "waits", "bytes by read()", "bytes by write()"],
        rows,
    )


def _commands(values: Mapping[str, float]) -> str:
    commands = {
        name.split(".")[1]: count
        for name, count in values.items()
        if name.startswith("command.") and name.endswith(".calls")
    }
    most = max(commands.values())
    rows = [
        [name.upper(), number(count), number(values[f"command.{name}.time"])]
        for name, count in sorted(commands.items(), key=lambda each: -each[1])
        if count >= RARE * most
    ]
    rows.append(["**all**", number(sum(commands.values())), NOTHING])
    return markdown_table(["command of Redis", "times a call", "time in Redis"], rows)
