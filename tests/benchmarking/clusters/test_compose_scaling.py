"""Orders to a Compose cluster, with a fake Docker, to have more workers or fewer."""

import pytest

from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from distribute_challenge.errors import ClusterStartError
from tests.benchmarking.clusters.fakes import FakeDocker
from tests.processes import wait_until

pytestmark = pytest.mark.usefixtures("here")

SLOW = """
if echo "$@" | grep -q "worker=1 "; then
    touch "$here/asked"
    while [ ! -e "$here/go" ]; do sleep 0.01; done
fi
"""


def test_scaling_down_does_not_wait_for_running_calls(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    """The next order waits for it. Workers that end meanwhile have not failed."""
    docker.set("on-up", SLOW)
    cluster.start()
    cluster.scale(3)
    cluster.scale(1)
    wait_until((docker.folder / "asked").exists)
    (docker.folder / "containers" / "worker-3").write_text("exited")
    cluster.check()
    (docker.folder / "go").touch()
    cluster.scale(2)
    assert docker.names("containers") == ["redis-1", "worker-1", "worker-2"]
    cluster.scale(1)
    wait_until(lambda: docker.names("containers") == ["redis-1", "worker-1"])
    cluster.check()


def test_a_cluster_that_is_still_shrinking_is_taken_down_at_once(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    docker.set("on-up", SLOW)
    with cluster:
        cluster.scale(3)
        cluster.scale(1)
    assert not (docker.folder / "go").exists()


def test_a_failed_order_to_scale_is_raised_by_scale_or_by_the_next_check(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    cluster.start()
    cluster.scale(2)
    docker.set("on-up", "echo no space left >&2; exit 3")
    with pytest.raises(
        ClusterStartError,
        match=r"up .* worker=5 worker failed \(exit code 3\).*\n    no space left",
    ):
        cluster.scale(5)
    cluster.scale(1)

    child = cluster._shrinking
    assert child is not None
    wait_until(lambda: child.code is not None)
    with pytest.raises(
        ClusterStartError, match=r"worker=1 failed \(exit code 3\).*\n    no space left$"
    ):
        cluster.check()
