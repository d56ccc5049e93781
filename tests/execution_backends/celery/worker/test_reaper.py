"""Messages of workers without signs of life, with a real Redis and made-up workers."""

import base64
import json
from typing import Any

import pytest
import redis

from distribute_challenge.core.messages import Batch, Reply
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.reaper import Reaper
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages
from distribute_challenge.execution_backends.celery.worker.unacked_entries import Envelope
from distribute_challenge.security import Keyring, Purpose
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING, SECRET

LEASE = 7.0


class Scene:
    """A worker that is lost, and one that looks for what others have lost."""

    def __init__(self, url: str) -> None:
        self.client: Any = connect(url)
        self.gate = Gate(Keyring(SECRET), lambda batch, problem: None)
        self.lost = UnackedMessages(connect(url), "unacked", LEASE, KEYRING)
        self.unacked = UnackedMessages(connect(url), "unacked", LEASE, KEYRING)
        self.reaper = self.new_reaper()

    def new_reaper(self) -> Reaper:
        return Reaper(
            self.client,
            self.unacked,
            self.gate,
            unacked_key="unacked",
            lease=LEASE,
            give_up=lambda: True,
        )

    def lose(self, tag: str, data: bytes) -> None:
        self.lost.take(tag, Envelope({}, b"queue", data))
        self.lost.renew()
        self.age(tag)

    def age(self, tag: str) -> None:
        """Set an entry's last renewal back by more than a lease."""
        self.client.zadd("unacked_index", {tag: self.client.time()[0] - LEASE - 2})

    def reap(self) -> None:
        """Look as a worker does that has looked all the time."""
        self.reaper.reap()
        self.reaper._from = 0.0
        self.reaper.reap()

    def replies(self) -> list[Reply]:
        purpose = Purpose.reply("replies")
        return [
            Reply.decode(KEYRING.open(purpose, sealed))
            for sealed in self.client.lrange("replies", 0, -1)
        ]

    def entries(self) -> int:
        return int(self.client.hlen("unacked") + self.client.zcard("unacked_index"))


def message(reply_to: str = "replies") -> bytes:
    batch = Batch("b-1", "0" * 64, "area", [b"x"], reply_to=reply_to)
    body = base64.b64encode(KEYRING.seal(Purpose.BATCH, [batch.encode()])).decode()
    return json.dumps({"body": body, "properties": {"reply_to": "somewhere"}}).encode()


@pytest.fixture
def scene(server: Server) -> Scene:
    return Scene(server.url)


def test_the_client_of_a_lost_message_gets_a_reply_that_says_so(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts, and sends the calls again."""
    scene.lose("a", message())
    scene.reap()
    (reply,) = scene.replies()
    assert reply.batch == "b-1"
    assert reply.problem is not None
    assert reply.problem.kind == "lost"
    assert reply.problem.facts["worker_lost"] is True
    assert {"host", "pid"} <= set(reply.problem.facts)
    assert scene.entries() == 0
    assert scene.client.llen("queue") == 0
    assert "area is lost: the worker, process" in caplog.text


FORGED = {"host": "h\x1b[2J\nERROR all is lost", "pid": 1, "key": "queue"}


def signed(content: bytes) -> bytes:
    return base64.b64encode(KEYRING.seal(Purpose.HOLDER, [content]))


@pytest.mark.parametrize(
    "head",
    [
        json.dumps(FORGED).encode(),
        b"\xff\x1b",
        b"",
        base64.b64encode(Keyring.insecure().seal(Purpose.HOLDER, [json.dumps(FORGED).encode()])),
        base64.b64encode(KEYRING.seal(Purpose.BATCH, [json.dumps(FORGED).encode()])),
        signed(b"nonsense"),
        signed(b"[" * 100_000),
        signed(b"[]"),
        signed(b'{"host": "\\ud800", "pid": 1}'),
        signed(b'{"host": "h", "pid": "1"}'),
    ],
    ids=[
        "plain",
        "bytes",
        "nothing",
        "another secret",
        "another seal",
        "no JSON",
        "deep",
        "no names",
        "half",
        "text",
    ],
)
def test_a_holder_without_a_valid_signature_is_not_named(
    scene: Scene, caplog: pytest.LogCaptureFixture, head: bytes
) -> None:
    """Neither the reply nor the log names it. Its client is told of the loss all the same."""
    scene.client.hset("unacked", "a", head + b"\n" + message())
    scene.age("a")
    scene.reap()
    (reply,) = scene.replies()
    assert reply.problem is not None
    assert reply.worker == ""
    assert reply.problem.facts == {"worker_lost": True}
    assert (
        reply.problem.text
        == f"the worker, of which no more is known, gave no sign of life for {LEASE:g} s"
    )
    assert scene.entries() == 0
    assert scene.gate.refusals.total == 1
    assert all(line.isprintable() for line in caplog.messages)


def test_a_name_that_is_signed_is_shown_on_one_line(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a secret, all programs can sign."""
    scene.client.hset("unacked", "a", signed(json.dumps(FORGED).encode()) + b"\n" + message())
    scene.age("a")
    scene.reap()
    (reply,) = scene.replies()
    assert reply.problem is not None
    assert reply.problem.facts["host"] == r"h\x1b[2J\nERROR all is lost"
    assert reply.problem.text.isprintable()
    assert all(line.isprintable() for line in caplog.messages)


def test_the_reply_goes_to_the_address_in_the_signed_header(scene: Scene) -> None:
    """What surrounds it is not signed."""
    scene.lose("a", message(reply_to="elsewhere"))
    scene.reap()
    assert scene.client.llen("elsewhere") == 1


def test_a_new_reaper_waits_for_a_lease_before_it_reports_losses(scene: Scene) -> None:
    """Redis may have been away, and the others have to renew first."""
    scene.lose("a", message())
    reaper = scene.new_reaper()
    reaper.reap()
    reaper.reap()
    assert scene.replies() == []
    assert reaper._from == pytest.approx(scene.client.time()[0] + LEASE, abs=3)


def test_a_reaper_that_was_frozen_waits_for_a_lease_before_it_reports_losses(scene: Scene) -> None:
    """It was frozen, or its whole machine, Redis and all."""
    scene.reap()
    scene.lose("a", message())
    scene.reaper._looked -= 60
    scene.reaper.reap()
    scene.reaper.reap()
    assert scene.replies() == []
    scene.reap()
    scene.reaper.hold_off()
    scene.lose("b", message())
    scene.reaper.reap()
    assert len(scene.replies()) == 1


def test_a_renewed_message_is_not_reported_as_lost(scene: Scene) -> None:
    scene.lose("a", message())
    scene.lost.renew()
    scene.reap()
    assert scene.replies() == []
    assert scene.entries() == 2


def test_a_worker_does_not_report_its_own_overdue_message_as_lost(scene: Scene) -> None:
    scene.unacked.take("a", Envelope({}, b"queue", message()))
    scene.unacked.renew()
    scene.age("a")
    scene.reap()
    assert scene.replies() == []
    assert scene.entries() == 2


@pytest.mark.parametrize(
    "entry", [b"nonsense", b"{}\n{}", b'{"host": 1, "pid": 2}\n{"body": "eA=="}', b"\xff\n"]
)
def test_an_entry_made_without_the_secret_is_dropped(scene: Scene, entry: bytes) -> None:
    """No worker dies of it, whatever it is."""
    scene.client.hset("unacked", "a", entry)
    scene.age("a")
    scene.reap()
    assert scene.entries() == 0
    assert scene.gate.refusals.total == 1


def test_a_value_in_the_place_of_a_list_holds_up_no_other_call(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was told to end leaves the entries to other workers."""
    scene.client.set("no list", "x")
    scene.client.hset("unacked", b"\xff", b"nonsense")
    scene.client.zadd("unacked_index", {b"\xff": 1.0})
    scene.lose("a", message("no list"))
    scene.lose("b", message())
    scene.age("a")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        scene.reap()
    monkeypatch.setattr(scene.reaper, "_give_up", lambda: False)
    scene.age("a")
    scene.age("b")
    scene.reap()
    assert len(scene.replies()) == 1
    assert scene.entries() == 0
    assert "cannot tell the client what became of area" in caplog.text


def test_a_renewal_without_a_message_is_removed(scene: Scene) -> None:
    scene.client.zadd("unacked_index", {"a": 1.0})
    scene.reap()
    assert scene.entries() == 0


def test_a_lost_message_is_claimed_by_one_worker_for_one_lease(scene: Scene) -> None:
    """This holds for a lease. If that worker has died by then, another does it."""
    scene.lose("a", message())
    scene.reap()
    scene.lose("b", message())
    found = scene.reaper._claim()
    assert [tag for tag, _ in found] == [b"b"]
    assert scene.reaper._claim() == []
    scene.age("b")
    scene.reap()
    assert len(scene.replies()) == 2


def test_reap_raises_a_connection_error_when_the_broker_goes_away(
    server: Server, scene: Scene
) -> None:
    """Celery then connects anew, and with it comes a new one."""
    server.stop()
    with pytest.raises(redis.ConnectionError):
        scene.reaper.reap()
