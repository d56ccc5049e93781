"""Ray, with its object store, on this machine."""

import ray
from ray.util.multiprocessing import Pool

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import FOLDER

__all__ = ["Ray"]

same = ray.remote(functions.same)
plus_one = ray.remote(functions.plus_one)
item = ray.remote(functions.item)


class Ray(Peer):
    """Ray as a peer: calls are remote tasks, and many calls go through its pool."""

    title = "Ray"
    packages = ("ray",)
    import_line = "import ray"
    crosses_machines = True
    survives_worker_death = "yes"
    guarantee = (
        "A task whose worker process died is retried, three times by default; nothing survives the "
        "end of the driver."
    )
    configuration = (
        "`ray.init` with one CPU for each worker, no dashboard; all results by one `ray.get`; "
        "`map` is its Pool; shared "
        "values by `ray.put`."
    )
    documentation = "Ray Core: Design Patterns & Anti-patterns; Distributed multiprocessing.Pool"

    def start(self, workers: int) -> None:
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=str(FOLDER / "ray"),
        )
        self.workers = workers
        self.pool = None

    def round_trip(self, value):
        return ray.get(same.remote(value))

    def submit_and_gather(self, calls):
        return sum(ray.get([same.remote(number) for number in range(calls)]))

    def map(self, calls):
        if self.pool is None:
            # The pool's actors claim no CPU: otherwise none is left for the tasks of the other
            # measurements.
            self.pool = Pool(processes=self.workers, ray_remote_args={"num_cpus": 0})
        return sum(self.pool.map(functions.same, range(calls)))

    def payload(self, array):
        return ray.get(plus_one.remote(array))

    def shared_payload(self, array, calls):
        shared = ray.put(array)
        return sum(ray.get([item.remote(shared, index) for index in range(calls)]))

    def stop(self) -> None:
        if self.pool is not None:
            self.pool.terminate()
        ray.shutdown()
