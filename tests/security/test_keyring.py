"""Programs with the secret can seal and open; other programs cannot."""

import builtins
import importlib.util
import os
from itertools import pairwise
from typing import Any

import pytest

from distribute_challenge.errors import BackendError, ForgedError, SecretError, StoreFullError
from distribute_challenge.security import (
    ENCRYPTION_OVERHEAD,
    TRAILER_LENGTH,
    Keyring,
    Purpose,
    new_secret,
)
from distribute_challenge.security import keyring as module
from tests.secret import KEYRING, SECRET

OTHER = "another-secret-of-the-length-that-is-needed"
BODIES = [b"", b"x", os.urandom(1000), os.urandom(200_000)]
PURPOSE = Purpose.BATCH


@pytest.fixture(params=[False, True], ids=["signed", "encrypted"])
def keyring(request: pytest.FixtureRequest) -> Keyring:
    return Keyring(SECRET, encrypt=request.param)


@pytest.mark.parametrize("body", BODIES, ids=len)
def test_data_sealed_by_one_holder_can_be_opened_by_another(keyring: Keyring, body: bytes) -> None:
    """It may be in one part or several, small or large. The other may encrypt itself or not."""
    sealed = keyring.seal(PURPOSE, [body])
    assert bytes(KEYRING.open(PURPOSE, sealed)) == body
    assert bytes(KEYRING.open(PURPOSE, memoryview(bytearray(sealed)))) == body
    parts = [body[:1], memoryview(body)[1:500], bytearray(body[500:])]
    assert bytes(KEYRING.open(PURPOSE, keyring.seal(PURPOSE, parts))) == body
    assert len(sealed) == len(body) + (ENCRYPTION_OVERHEAD if keyring.encrypts else TRAILER_LENGTH)


def test_a_body_too_large_to_encrypt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how much there is, how much can be, and what to do."""
    monkeypatch.setattr(module, "MOST_ENCRYPTED", 2000)
    assert Keyring(SECRET, encrypt=True).seal(PURPOSE, [bytes(2000)])
    with pytest.raises(StoreFullError, match=r"2\.0 kB cannot be encrypted .* in parts"):
        Keyring(SECRET, encrypt=True).seal(PURPOSE, [bytes(2001)])


@pytest.mark.parametrize("body", BODIES, ids=len)
def test_any_changed_added_or_removed_byte_is_detected(keyring: Keyring, body: bytes) -> None:
    """No byte can be added or taken away at either end."""
    sealed = keyring.seal(PURPOSE, [body])
    for place in {0, 3, 4, 5, 8, 9, 40, len(sealed) // 2, len(sealed) - 1}:
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(ForgedError):
            KEYRING.open(PURPOSE, changed)
    for changed in (sealed + b"x", b"x" + sealed, sealed[:-1], sealed[1:], sealed[:40], b""):
        with pytest.raises(ForgedError):
            KEYRING.open(PURPOSE, changed)


def test_data_sealed_for_one_purpose_cannot_be_opened_for_another(keyring: Keyring) -> None:
    """A reply to one client is none to another, and no purpose can be read as a part of the body."""
    purposes = [
        Purpose.BATCH,
        Purpose.COMMAND,
        Purpose.function("d"),
        Purpose.value("redis:c", "d"),
        Purpose.reply("l"),
        Purpose.reply("l2"),
        Purpose.presence("k", "n"),
        b"",
        b"batchx",
    ]
    for purpose in purposes:
        sealed = keyring.seal(purpose, [b"x content"])
        for other in purposes:
            if other == purpose:
                assert bytes(KEYRING.open(other, sealed)) == b"x content"
            else:
                with pytest.raises(ForgedError, match="meant for another receiver"):
                    KEYRING.open(other, sealed)


def test_another_secret_is_told_from_a_broken_seal() -> None:
    """It is the likely mistake, and has other remedies."""
    sealed = KEYRING.seal(PURPOSE, [b"x"])
    with pytest.raises(ForgedError, match=r"^signed with another secret$"):
        Keyring(OTHER).open(PURPOSE, sealed)
    with pytest.raises(ForgedError, match=r"^not signed, or in a way"):
        KEYRING.open(PURPOSE, b"\x80\x04" + b"x" * 100)
    with pytest.raises(ForgedError, match=r"^too short to be signed$"):
        KEYRING.open(PURPOSE, b"DCS1")


def test_keyrings_without_a_secret_open_only_what_such_keyrings_sealed() -> None:
    """Keyrings without a secret open each other's bytes. Keyrings with one refuse them."""
    sealed = Keyring.insecure().seal(PURPOSE, [b"x"])
    assert Keyring.insecure().open(PURPOSE, sealed) == b"x"
    with pytest.raises(ForgedError):
        KEYRING.open(PURPOSE, sealed)


def test_a_secret_can_be_replaced_in_steps_without_downtime() -> None:
    """All accept both; then all sign with the new one; then the old one goes."""
    steps = [
        Keyring(text) for text in (SECRET, f"{SECRET},{OTHER}", f" {OTHER} , {SECRET} ", OTHER)
    ]
    for here, there in pairwise(steps):
        for one, another in ((here, there), (there, here)):
            assert another.open(PURPOSE, one.seal(PURPOSE, [b"x"])) == b"x"
            assert one.seals_as in another.opens
    with pytest.raises(ForgedError):
        steps[0].open(PURPOSE, steps[2].seal(PURPOSE, [b"x"]))
    assert steps[2].seals_as not in steps[0].opens
    assert steps[1].identity == steps[0].identity
    assert steps[1].identities == steps[2].identities == {steps[0].identity, steps[3].identity}


@pytest.mark.parametrize("text", ["", "x" * 31, f"{SECRET},short", f"{SECRET},"])
def test_a_secret_that_can_be_guessed_is_refused(text: str) -> None:
    """The error does not show it."""
    with pytest.raises(
        SecretError, match=r"needs at least 32 .*`distribute-challenge secret`"
    ) as caught:
        Keyring(text)
    assert SECRET not in str(caught.value)
    assert "short" not in str(caught.value)


def test_new_secrets_are_long_and_unique() -> None:
    secrets = {new_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert all(Keyring(secret).identity for secret in secrets)
    assert not any(set(secret) & set(" ,'\"$\\#=\n") for secret in secrets)


@pytest.mark.parametrize("encrypt", [False, True])
def test_the_repr_of_a_keyring_does_not_contain_its_secrets(encrypt: bool) -> None:
    """A keyring, its parts and its identity do not show it."""
    keyring = Keyring(f"{SECRET},{OTHER}", encrypt=encrypt)
    signature = keyring.signature(PURPOSE)
    shown = [keyring, signature, signature.key, vars(keyring), keyring.opens, keyring.seals_as]
    text = "".join(f"{thing!r} {thing!s}" for thing in shown)
    assert SECRET not in text
    assert OTHER not in text
    names = ", ".join(Keyring(secret).identity for secret in (SECRET, OTHER))
    assert repr(keyring) == f"<Keyring {names}{' encrypting' * encrypt}>"


def test_a_signature_over_pieces_equals_that_over_the_whole() -> None:
    """The reader verifies them one by one, and finds a wrong purpose or a change at the end."""
    made = KEYRING.signature(PURPOSE)
    for piece in (b"ab", memoryview(b"c")):
        made.update(piece)
    assert made.trailer() + b"abc" == KEYRING.seal(PURPOSE, [b"abc"])
    for purpose, pieces, is_right in (
        (PURPOSE, [b"a", b"bc"], True),
        (PURPOSE, [b"abd"], False),
        (b"other", [b"abc"], False),
    ):
        checked = KEYRING.check(purpose, made.trailer())
        assert not checked.is_encrypted
        for piece in pieces:
            checked.update(piece)
        if is_right:
            checked.verify()
        else:
            with pytest.raises(ForgedError):
                checked.verify()
    with pytest.raises(ForgedError, match="another secret"):
        Keyring(OTHER).check(PURPOSE, made.trailer())
    with pytest.raises(ForgedError, match="too short"):
        KEYRING.check(PURPOSE, made.trailer()[:-1])
    assert KEYRING.check(
        PURPOSE, Keyring(SECRET, encrypt=True).signature(PURPOSE).trailer()
    ).is_encrypted


def test_encrypted_data_is_unreadable_and_differs_each_time() -> None:
    keyring = Keyring(SECRET, encrypt=True)
    first, second = (keyring.seal(PURPOSE, [b"a private text"]) for _ in range(2))
    assert b"private" not in first
    assert first[9:] != second[9:]


@pytest.mark.parametrize("body", [b"", b"x" * 11, b"x" * 12, b"x" * 100])
def test_a_signed_body_that_falsely_claims_to_be_encrypted_is_refused(body: bytes) -> None:
    """A program with the secret may have signed it, or any program where there is none."""
    key = KEYRING.signature(PURPOSE).key
    made = module.Signature(key, module._PREFIX.pack(b"DCS1", 1, key.id), PURPOSE)
    made.update(body)
    with pytest.raises(ForgedError, match="says that it is encrypted, and is not"):
        KEYRING.open(PURPOSE, made.trailer() + body)


def test_a_missing_package_is_named_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that encrypts names it at once. Others do when something encrypted comes."""
    sealed = Keyring(SECRET, encrypt=True).seal(PURPOSE, [b"x"])
    real, found = builtins.__import__, importlib.util.find_spec

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("cryptography"):
            raise ModuleNotFoundError("No module named 'cryptography'")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(
        module, "find_spec", lambda name: None if name == "cryptography" else found(name)
    )
    with pytest.raises(BackendError, match=r"pip install cryptography"):
        Keyring(SECRET, encrypt=True)
    plain = Keyring(SECRET)
    with pytest.raises(BackendError, match=r"pip install cryptography"):
        plain.open(PURPOSE, sealed)
    assert plain.opens == [plain.identity]


def test_with_the_package_both_ways_to_seal_are_opened() -> None:
    assert KEYRING.opens == [KEYRING.identity, f"{KEYRING.identity} encrypted"]
    assert Keyring(SECRET, encrypt=True).seals_as == f"{KEYRING.identity} encrypted"
