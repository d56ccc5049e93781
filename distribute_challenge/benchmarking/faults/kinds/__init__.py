"""The kinds of faults: what each does to a rig, how long it lasts, and which errors it excuses."""

from distribute_challenge.benchmarking.faults.kinds.clients import CLIENTS
from distribute_challenge.benchmarking.faults.kinds.clocks import CLOCKS
from distribute_challenge.benchmarking.faults.kinds.disks import DISKS
from distribute_challenge.benchmarking.faults.kinds.kind import Kind
from distribute_challenge.benchmarking.faults.kinds.lines import LINES
from distribute_challenge.benchmarking.faults.kinds.redis_server import REDIS
from distribute_challenge.benchmarking.faults.kinds.signals import SIGNALS
from distribute_challenge.benchmarking.faults.kinds.versions import VERSIONS
from distribute_challenge.benchmarking.faults.kinds.workers import WORKERS

__all__ = ["KINDS", "Kind"]

KINDS = {**WORKERS, **SIGNALS, **REDIS, **CLIENTS, **LINES, **DISKS, **CLOCKS, **VERSIONS}
