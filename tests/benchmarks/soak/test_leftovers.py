"""Keys in Redis: those that are documented, and others."""

from pathlib import Path

import distribute_challenge
from benchmarks.rig.redis_process import RedisProcess
from benchmarks.soak.leftovers import DOCUMENTED, keys, unknown

DOCUMENT = Path(distribute_challenge.__file__).parents[1] / "docs" / "configuration.md"
# Which words of the document stand for a pattern that is no name from it.
WORDS = {
    "distribute_challenge": "<queue>",
    "distribute_challenge\x06\x16*": "one more list for each priority",
    "distribute_challenge:unacked_index": "`distribute_challenge:unacked`, `…_index`",
    "*.pidbox": "the short-lived lists of its remote control",
}


def test_every_key_pattern_called_documented_is_in_the_documentation() -> None:
    text = DOCUMENT.read_text()
    assert [
        pattern
        for pattern in DOCUMENTED
        if WORDS.get(pattern, pattern.partition("*")[0]) not in text
    ] == []


def test_all_keys_are_seen_with_their_types_and_lifetimes(tmp_path: Path) -> None:
    server = RedisProcess(tmp_path)
    server.start()
    with server.connection() as connection:
        connection.hset("distribute_challenge:workers", "w", "{}")
        connection.set("distribute_challenge:function:abc", "x", ex=1000)
        connection.rpush("what", "x")
        found = keys(connection)
    server.close()
    assert [(name, kind) for name, kind, _ in found] == [
        ("distribute_challenge:function:abc", "string"),
        ("distribute_challenge:workers", "hash"),
        ("what", "list"),
    ]
    assert 900 < found[0][2] <= 1000
    assert unknown(found) == [("what", "list", -1)]
