"""Which peers there are."""

from importlib.util import find_spec

import pytest

from benchmarks.peers.base import Peer
from benchmarks.peers.catalogue import CATALOGUE, FLOOR, chosen
from benchmarks.sessions.entry import OURS


def test_every_peer_has_its_file() -> None:
    places = {entry.place.partition(":")[0] for entry in CATALOGUE.values()}
    assert [place for place in places if find_spec(place) is None] == []


@pytest.mark.parametrize(
    "name", [OURS, FLOOR, "celery", "loky", "process_pool", "multiprocessing_pool"]
)
def test_installed_peers_report_their_guarantees_and_versions(name: str) -> None:
    peer = CATALOGUE[name].load()
    assert issubclass(peer, Peer)
    facts = peer.facts()
    assert facts["survives_worker_death"] in {"yes", "partly", "no"}
    assert facts["guarantee"]
    assert "not installed" not in facts["versions"].values()


def test_a_package_that_is_not_installed_has_no_version() -> None:
    class Missing(Peer):
        packages = ("no-such-package",)
        title = import_line = survives_worker_death = guarantee = configuration = documentation = (
            "…"
        )
        crosses_machines = False

    assert Missing.facts()["versions"] == {"no-such-package": "not installed"}


def test_chosen_peers_are_in_the_order_of_the_tables() -> None:
    assert [entry.name for entry in chosen(["ray", "celery"])] == ["celery", "ray"]
    assert len(chosen([])) == len(CATALOGUE)


def test_an_unknown_peer_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no peer is called spark; there are distribute_challenge"):
        chosen(["spark"])
