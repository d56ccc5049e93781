"""Writes a study as one HTML page that loads nothing."""

import os
import platform
import sys
import time
from collections.abc import Iterator

from distribute_challenge.core.guarded import name_of, text_of
from distribute_challenge.core.units import NOTHING, amount, in_natural_order, memory, seconds
from distribute_challenge.core.units import percent as share
from distribute_challenge.reporting.failures import Kind
from distribute_challenge.reporting.figures import Durations, Sizes
from distribute_challenge.reporting.lanes import MOST_BARS, Lanes
from distribute_challenge.reporting.page import (
    details,
    drawing,
    notes,
    page,
    paragraph,
    section,
    table,
)
from distribute_challenge.reporting.picture import drawn
from distribute_challenge.reporting.study import Study
from distribute_challenge.version import __version__

__all__ = ["study_page"]

TERMS = (
    (
        "calls",
        (
            "Those that ended while the block ran, each once, however often it was tried. A call that "
            "another call makes is a part of that one. Functions of the same name share a row."
        ),
    ),
    (
        "running, waiting",
        (
            "On the worker, and before that, from when the arguments were pickled. The calls of a map "
            "that travelled in one message count with their mean."
        ),
    ),
    ("p95", "Of a hundred calls, 95 took at most so long; within 2 %."),
    (
        "sizes",
        (
            "Of pickled values, in units of a thousand bytes. A value of put(), or a large one that "
            "several calls get, counts for each call, though it is sent once. Results of other calls "
            "are not counted among the arguments."
        ),
    ),
    (
        "busy",
        "Seconds in which the worker ran calls of this program, and their share of the block.",
    ),
    (
        "times of workers",
        "By the clocks of their machines, which may differ from that of this program.",
    ),
)


def study_page(study: Study, title: str, error: BaseException | None = None) -> str:
    """Return the page.

    Args:
        study: A study that is closed.
        title: Its heading.
        error: What ended the block early; None: nothing did.
    """
    return page(title, [*_head(study, title, error), *_body(study)])


def _head(study: Study, title: str, error: BaseException | None) -> Iterator[str]:
    functions = study.functions.values()
    calls = sum(each.calls for each in functions)
    failed = sum(each.failed for each in functions)
    cancelled = sum(each.cancelled for each in functions)
    began = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(study.began))
    program = os.path.basename(sys.argv[0]) or "an interpreter"
    yield paragraph("title", title)
    yield paragraph(
        "subject",
        f"{began}, {seconds(study.seconds)}; by {program} on {platform.node()}, "
        f"Python {platform.python_version()}, distribute_challenge {__version__}.",
    )
    workers = len(study.lanes.busy)
    yield paragraph(
        "answer",
        f"{amount(calls, 'call')} of {amount(len(functions), 'function')} ended"
        + (f" on {amount(workers, 'worker')}." if workers else "."),
    )
    if error is not None:
        yield paragraph(
            "mishap", f"The block ended with {name_of(type(error))}: {text_of(error)[:1000]}"
        )
    if failed:
        yield paragraph("mishap", f"{amount(failed, 'call')} failed.")
    elif calls:
        yield paragraph("fine", "None of them failed.")
    if cancelled:
        yield paragraph("mishap", f"{amount(cancelled, 'call')} had been cancelled.")
    if study.open:
        yield paragraph(
            "mishap", f"{amount(study.open, 'call')} had not ended when the block ended."
        )


def _body(study: Study) -> Iterator[str]:
    if study.lanes.busy:
        yield section("What each worker ran", _picture(study))
    if study.functions:
        yield section("Functions", _times(study))
        yield section("Sizes", _sizes(study))
    if study.lanes.busy:
        yield section("Workers", _workers(study.lanes, study.seconds))
    if study.failures.kinds:
        yield section("Failures", *_failures(study))
    yield section("What the words mean", notes(TERMS))


def _picture(study: Study) -> str:
    picture = drawn(study.lanes, study.began, study.ended)
    said = ["From the beginning of the block. A red mark: a call failed."]
    if study.lanes.width:
        said.append(
            f"There were more than {MOST_BARS:,} calls: the height of a bar is the share of "
            f"{seconds(study.lanes.width)} in which the worker was busy."
        )
    if picture.left_out:
        said.append(f"{amount(picture.left_out, 'worker')} with less work left out.")
    return drawing(picture.svg, picture.colours, " ".join(said))


def _times(study: Study) -> str:
    heads = ["function", "calls", "failed", "cancelled", "total", "mean", "p95", "longest"]
    rows = [
        [
            name,
            f"{figures.calls:,}",
            f"{figures.failed:,}",
            f"{figures.cancelled:,}",
            *_durations(figures.running),
            seconds(figures.waited / figures.running.count) if figures.running.count else NOTHING,
        ]
        for name, figures in sorted(
            study.functions.items(), key=lambda item: -item[1].running.total
        )
    ]
    return table([*heads, "waiting, mean"], rows)


def _durations(running: Durations) -> list[str]:
    if not running.count:
        return [NOTHING] * 4
    found = (running.total, running.mean, running.percentile(0.95), running.longest)
    return list(map(seconds, found))


def _sizes(study: Study) -> str:
    heads = ["function"] + [
        f"{what}: {which}"
        for what in ("arguments", "results")
        for which in ("mean", "largest", "total")
    ]
    rows = [
        [name, *_of_sizes(figures.arguments), *_of_sizes(figures.results)]
        for name, figures in sorted(
            study.functions.items(),
            key=lambda item: -(item[1].arguments.total + item[1].results.total),
        )
    ]
    return table(heads, rows)


def _of_sizes(sizes: Sizes) -> list[str]:
    if not sizes.count:
        return [NOTHING] * 3
    return [_size(each) for each in (sizes.total / sizes.count, sizes.largest, sizes.total)]


def _size(size: float) -> str:
    return f"{size:.0f} B" if size < 1000 else memory(size)


def _workers(lanes: Lanes, whole: float) -> str:
    rows = [
        [
            worker,
            f"{lanes.calls[worker]:,}",
            seconds(lanes.busy[worker]),
            share(lanes.busy[worker] / whole) if whole else NOTHING,
        ]
        for worker in in_natural_order(lanes.busy)
    ]
    return table(["worker", "calls", "busy", "of the block"], rows)


def _failures(study: Study) -> Iterator[str]:
    for kind in list(study.failures.kinds.values()):  # Slow failures may still be added.
        yield details(_summary(kind), kind.traceback)
    if others := study.failures.others:
        rows = [
            [function or "further functions", error or "any", f"{count:,}"]
            for (function, error), count in others.most_common()
        ]
        yield paragraph("subject", "Further failures, without their tracebacks:")
        yield table(["function", "what was raised", "calls"], rows, words=[1])


def _summary(kind: Kind) -> str:
    first, *_ = kind.text.splitlines() or [""]
    place = f" on {kind.worker}" if kind.worker else ""
    times = "" if kind.count == 1 else f", and {amount(kind.count - 1, 'call')} more"
    return f"{kind.error}: {first} · {kind.call}{place}{times}"
