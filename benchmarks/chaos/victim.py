"""A client for faults to strike: it makes calls in each way, says so, and waits for their values.

python -m benchmarks.chaos.victim
"""

from benchmarks.rig.calls import pause

__all__ = ["SUBMITTED", "main"]

SUBMITTED = "submitted"
CALLS = 20
DETACHED = 5
WAITS_AT_MOST = 600.0  # Seconds for which none waits here, unless clocks that are set make it so.
SECONDS = 0.1  # That each call takes.


def main() -> None:
    """Submit, and wait."""
    impatient = pause.with_options(queue_timeout=WAITS_AT_MOST)
    call = impatient(SECONDS)
    futures = [call.submit() for _ in range(CALLS)]
    futures += [call.submit(detach=True) for _ in range(DETACHED)]
    futures[0].result()
    print(SUBMITTED)
    assert list(impatient.map([SECONDS] * DETACHED)) == [None] * DETACHED
    for future in futures:
        future.result()


if __name__ == "__main__":
    main()
