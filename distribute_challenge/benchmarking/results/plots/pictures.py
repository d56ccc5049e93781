"""Lists the pictures, and says what each shows."""

from dataclasses import dataclass

__all__ = ["PICTURES", "Picture"]


@dataclass(frozen=True)
class Picture:
    """One picture of a run.

    Attributes:
        name: Name of its file, without the ending.
        title: What it shows.
        caption: How to read it, in a sentence or two.
        function: Function that draws it, as ``"module:function"``. It takes the title, the run and
            the run's figures, and returns a Matplotlib figure.
    """

    name: str
    title: str
    caption: str
    function: str


_HERE = "distribute_challenge.benchmarking.results.plots"

PICTURES = (
    Picture(
        "throughput-over-time",
        "Throughput over time, by number of workers",
        "Calls that finished in each second, as a moving average over five seconds; single seconds "
        "are faint, where "
        "there are enough calls. Measuring begins at 0; what is before that is the warm-up.",
        f"{_HERE}.over_time:throughput",
    ),
    Picture(
        "scaling",
        "What more workers bring",
        "Throughput while it was measured, against workers that share nothing and lose no time. "
        "Bars hold 90 % of the "
        "single seconds.",
        f"{_HERE}.scaling:scaling",
    ),
    Picture(
        "allocation",
        "Who got the calls",
        "Each dot is a worker, from the first on the left to the last: how many more or fewer "
        "calls it ran than an "
        "equal share. At -100 % it ran none.",
        f"{_HERE}.allocation:allocation",
    ),
    Picture(
        "latency",
        "Where the time of a call goes",
        "Of a hundred calls, 50, 95 and 99 took at most so long. The queue was kept full, so "
        "waiting is as long as "
        "the queue.",
        f"{_HERE}.latency:latency",
    ),
    Picture(
        "resources",
        "What workers and Redis take",
        "Cores and connections while it was measured, memory at its largest.",
        f"{_HERE}.resources:resources",
    ),
    Picture(
        "queue",
        "Calls waiting for a worker, by number of workers",
        "Calls that the client had made and no worker had begun. If a line touches zero, workers "
        "may have had "
        "nothing to do.",
        f"{_HERE}.over_time:queue",
    ),
)
