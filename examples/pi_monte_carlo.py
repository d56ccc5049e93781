"""Estimate pi by throwing random points at a square, with NumPy, on all cores of this machine.

    python examples/pi_monte_carlo.py [BATCHES]

Each call gets a random seed of its own from one `SeedSequence`, so the same command always prints
the same estimate, whichever worker runs which call.
"""

import math
import sys

import numpy as np

from distribute_challenge import compute_this

POINTS = 2_000_000  # In each batch.


@compute_this()
def share_inside(seed: np.random.SeedSequence) -> float:
    """Throw one batch of points at the unit square: the share that falls inside the quarter circle."""
    x, y = np.random.default_rng(seed).random((2, POINTS))
    return float(np.mean(x * x + y * y <= 1.0))


batches = int(sys.argv[1]) if len(sys.argv) > 1 else 50
seeds = np.random.SeedSequence(20).spawn(batches)
estimates = 4 * np.array(list(share_inside.map(seeds, progress=True)))

mean = estimates.mean()
error = estimates.std(ddof=1) / math.sqrt(batches)
print(f"points    {batches * POINTS:,}")
print(f"estimate  {mean:.6f} ± {error:.6f}")
print(f"pi        {math.pi:.6f}, {abs(mean - math.pi) / error:.1f} standard errors away")
