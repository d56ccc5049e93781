"""The load benchmark: measures how the throughput of a cluster grows with its workers.

load (the command)
  ├── clusters/    clusters that can be scaled and watched: Docker Compose, the embedded cluster
  ├── measuring/   the calls, the feeder that keeps the queue full, the samples, the plan
  ├── recording    all that was seen, in one JSON file
  └── results/     figures, plots, a table and a page: pure functions of the recording

Each may import those below it. ``measuring`` and ``results`` share nothing but the recording.

``chaos`` and ``soak`` are former names of commands for developers. These are in the folder
``benchmarks`` of a checkout and are not installed; ``checkout`` runs them.
"""
