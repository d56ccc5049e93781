"""joblib, with its default backend."""

from joblib import Parallel, delayed

from benchmarks.peers import functions
from benchmarks.peers.base import Peer
from benchmarks.sessions.services import FOLDER

__all__ = ["Joblib"]


class Joblib(Peer):
    """joblib as a peer: it has no futures, so calls submitted one by one are batches of one."""

    title = "joblib"
    packages = ("joblib",)
    import_line = "from joblib import Parallel, delayed"
    crosses_machines = False
    survives_worker_death = "no"
    guarantee = "When a worker process dies, the whole `Parallel` fails with TerminatedWorkerError."
    configuration = (
        "loky backend kept open by `with`; `map` with `batch_size='auto'`; submit and gather with "
        "`batch_size=1`; large "
        "arrays are memory-mapped by themselves."
    )
    documentation = "joblib: Embarrassingly parallel for loops"

    def start(self, workers: int) -> None:
        self.batching = Parallel(
            n_jobs=workers, batch_size="auto", temp_folder=str(FOLDER)
        ).__enter__()
        self.single = Parallel(n_jobs=workers, batch_size=1, temp_folder=str(FOLDER)).__enter__()

    def round_trip(self, value):
        return self.single([delayed(functions.same)(value)])[0]

    def submit_and_gather(self, calls):
        return sum(self.single(delayed(functions.same)(number) for number in range(calls)))

    def map(self, calls):
        return sum(self.batching(delayed(functions.same)(number) for number in range(calls)))

    def payload(self, array):
        return self.single([delayed(functions.plus_one)(array)])[0]

    def shared_payload(self, array, calls):
        return sum(self.single(delayed(functions.item)(array, index) for index in range(calls)))

    def stop(self) -> None:
        self.single.__exit__(None, None, None)
        self.batching.__exit__(None, None, None)
