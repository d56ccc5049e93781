"""The processes that a call starts end with the process that ran it."""

from pathlib import Path

import pytest

from distribute_challenge.cluster import supervisor
from tests.processes import alive, run, wait_until


@pytest.mark.skipif(not supervisor.LINUX, reason="the kernel does not offer it")
def test_processes_that_were_forked_just_before_their_parent_was_killed_end_too(
    tmp_path: Path,
) -> None:
    """They find that there is nothing left to be bound to."""
    pids = run(
        """
        import multiprocessing, os, signal, time
        from distribute_challenge.execution.descendants import bind_descendants

        bind_descendants()
        context = multiprocessing.get_context("fork")
        for _ in range(15):
            child = os.fork()
            if child == 0:
                started = [context.Process(target=time.sleep, args=(300,)) for _ in range(2)]
                for process in started:
                    process.start()
                print(*(process.pid for process in started))
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)
        """,
        tmp_path,
    ).split()
    assert len(pids) == 30
    wait_until(lambda: not alive([int(pid) for pid in pids]), "the end of all of them")
