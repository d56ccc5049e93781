"""Run on a cluster of your own, and show which of its processes did how much.

    export CELERY_BROKER_URL=redis://user:password@host:6379/0
    distribute-challenge worker               # on each machine of the cluster
    python examples/own_cluster.py [CALLS]    # on any machine

No cluster yet? Run it without the variable set: it says how to start one here.
"""

import os
import socket
import sys
import time
from collections import Counter

from distribute_challenge import compute_this

HOW = """\
This example runs on a cluster of your own, and CELERY_BROKER_URL does not say where it is.

If you have none, start one on this machine, in another terminal:

    distribute-challenge cluster --workers 2

It prints the line to type here before you run this again."""

if not (os.environ.get("DISTRIBUTE_CHALLENGE_BROKER_URL") or os.environ.get("CELERY_BROKER_URL")):
    sys.exit(HOW)


@compute_this()
def whereabouts(number: int) -> str:
    """Stand for some work, and say which process of which machine did it."""
    time.sleep(0.01)
    return f"{socket.gethostname()} process {os.getpid()}"


calls = int(sys.argv[1]) if len(sys.argv) > 1 else 200
start = time.perf_counter()
done = Counter(whereabouts.map(range(calls), ordered=False))
seconds = time.perf_counter() - start

for place, times in done.most_common():
    print(f"{place:<40}{times:>8} calls")
print(f"{done.total()} calls in {seconds:.2f} s")
