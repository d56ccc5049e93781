"""A client that is there to be killed: it submits calls, says so, and waits.

python -m distribute_challenge.benchmarking.faults.victim
"""

from distribute_challenge.benchmarking.faults.calls import pause

__all__ = ["SUBMITTED", "main"]

SUBMITTED = "submitted"
CALLS = 20
SECONDS = 0.2  # That each call takes.


def main() -> None:
    """Submit, and wait for what does not come."""
    futures = [pause(SECONDS).submit() for _ in range(CALLS)]
    futures[0].result()
    print(SUBMITTED)
    for future in futures:
        future.result()


if __name__ == "__main__":
    main()
