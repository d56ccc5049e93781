"""What Redis has done, by its own account."""

from typing import Any

from benchmarks.redis_costs import CommandCosts, RedisCosts


class Server:
    """Answers ``INFO`` as Redis does."""

    def __init__(self, **calls: int) -> None:
        self._calls = calls

    def info(self, section: str) -> dict[str, Any]:
        total = sum(self._calls.values())
        return {
            "stats": {"total_net_input_bytes": 100 * total, "total_net_output_bytes": 10 * total},
            "cpu": {"used_cpu_user": 0.5 * total, "used_cpu_sys": 0.25 * total},
            "commandstats": {
                f"cmdstat_{name}": {"calls": calls, "usec": 3 * calls, "usec_per_call": 3.0}
                for name, calls in self._calls.items()
            },
        }[section]


def test_costs_are_those_between_two_moments() -> None:
    before = RedisCosts.now(Server(lpush=2, eval=1, info=1))
    costs = RedisCosts.now(Server(lpush=5, eval=1, info=2, hset=4)).since(before)
    assert costs.commands == {"lpush": CommandCosts(3, 9), "hset": CommandCosts(4, 12)}
    assert (costs.received, costs.sent, costs.cpu) == (800, 80, 6)
