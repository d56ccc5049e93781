"""Takes the figures of one setting in a process of its own, and prints them as JSON.

The command starts it, with ``python -m benchmarks.growth.session KIND JSON``.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.growth import measuring, search, standing
from benchmarks.growth.sweeps import Setting

__all__ = ["main"]


def main(kind: str, said: dict[str, Any]) -> None:
    """Take the figures, and print them.

    Args:
        kind: ``load``, ``standing`` or ``search``.
        said: The arguments of the function, as plain values.
    """
    print(json.dumps(KINDS[kind](**said)), flush=True)


def _load(setting: dict[str, Any], **options: Any) -> Any:
    return measuring.measured(Setting(**setting), **options)


def _standing(setting: dict[str, Any], **options: Any) -> Any:
    return standing.measured(standing.StandingSetting(**setting), **options)


KINDS: dict[str, Callable[..., Any]] = {
    "load": _load,
    "standing": _standing,
    "search": search.measured,
}


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
