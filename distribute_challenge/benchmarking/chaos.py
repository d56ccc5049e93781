"""The former name of ``python -m benchmarks.chaos``, which runs from a checkout."""

from distribute_challenge.benchmarking.checkout import run_from_checkout

if __name__ == "__main__":
    run_from_checkout("chaos")
