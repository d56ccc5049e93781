"""How a cluster scales: real workers, a saturated queue, and what comes of it, as data, pictures
and a page.

load (the command)
  ├── clusters/    what is measured: Docker Compose, or the embedded cluster; each can be scaled, and watched
  ├── measuring/   how: what the calls do, who keeps the queue full, what is sampled, which sizes for how long
  ├── recording    all that was seen, in one JSON file
  └── results/     what that says: figures, plots, a table and a page; pure functions of the recording

Whatever is above may import what is below, and ``measuring`` and ``results`` share nothing but the
recording.
"""
