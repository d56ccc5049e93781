"""The kinds of faults: what each does to a rig, how long it lasts, and which errors it excuses."""

from benchmarks.chaos.kinds.clients import CLIENTS
from benchmarks.chaos.kinds.clocks import CLOCKS
from benchmarks.chaos.kinds.disks import DISKS
from benchmarks.chaos.kinds.kind import Kind
from benchmarks.chaos.kinds.lines import LINES
from benchmarks.chaos.kinds.redis_server import REDIS
from benchmarks.chaos.kinds.signals import SIGNALS
from benchmarks.chaos.kinds.versions import VERSIONS
from benchmarks.chaos.kinds.workers import WORKERS

__all__ = ["KINDS", "Kind"]

KINDS = {**WORKERS, **SIGNALS, **REDIS, **CLIENTS, **LINES, **DISKS, **CLOCKS, **VERSIONS}
