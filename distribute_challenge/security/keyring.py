"""Seals bytes with the cluster's secret, and opens or refuses sealed bytes.

    0      4       5        9       41
    | DCS1 | flags | key id | HMAC  | body ...

The HMAC-SHA256 covers the purpose (what the bytes are, and their receiver) and all other bytes. So
a client refuses a reply to another client, and a worker a function's pickle under another name. The
HMAC is checked, in constant time, before any code reads the body.

With two secrets a running cluster can change keys: the first signs, and all of them open.
"""

import base64
import hmac
import os
import secrets
import struct
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Final

from distribute_challenge.core.sizes import as_size
from distribute_challenge.errors import BackendError, ForgedError, SecretError, StoreFullError
from distribute_challenge.security.refusals import Refusals

__all__ = ["ENCRYPTION_OVERHEAD", "TRAILER_LENGTH", "Keyring", "Purpose", "Signature", "new_secret"]

Blob = bytes | bytearray | memoryview

_MAGIC: Final = b"DCS1"
_PREFIX: Final = struct.Struct(">4sB4s")
_MAC_LENGTH: Final = 32
_START: Final = _PREFIX.size + _MAC_LENGTH
_ENCRYPTED: Final = 1
_NONCE_LENGTH: Final = 12
_LARGE: Final = 64_000  # Bytes; opened bytes are not copied if there are more of them.

SHORTEST: Final = 32  # Characters of a secret: a shorter one may be guessed.

_CHANGED: Final = "its signature is wrong: changed on its way, or meant for another receiver"

#: Bytes that `Keyring.seal` adds when it encrypts: the seal, a nonce, and AES-GCM's own tag.
ENCRYPTION_OVERHEAD: Final = _START + _NONCE_LENGTH + 16
TRAILER_LENGTH: Final = _START

MOST_ENCRYPTED: Final = 2**31 - 1  # Bytes that AES-GCM of `cryptography` takes at once.

_ENCRYPTED_TOO: Final = " encrypted"  # Follows a secret's name, in the name of a way to seal.

_NO_SECRET: Final = b"there is no secret"


class Purpose:
    """The purposes of sealed bytes: what they are, and their receiver. The signature covers it.

    Examples:
        >>> Purpose.reply("distribute_challenge:replies:c1")
        b'reply distribute_challenge:replies:c1'
    """

    BATCH: Final = b"batch"
    COMMAND: Final = b"command"
    HOLDER: Final = b"holder"
    REPORT: Final = b"report"

    @staticmethod
    def function(digest: str) -> bytes:
        """Return the purpose of a function's payload, under its digest."""
        return f"function {digest}".encode()

    @staticmethod
    def value(place: str, key: str) -> bytes:
        """Return the purpose of a large value, in one store under one key."""
        return f"value {place} {key}".encode()

    @staticmethod
    def reply(key: str) -> bytes:
        """Return the purpose of a reply to the reader of one Redis list."""
        return f"reply {key}".encode()

    @staticmethod
    def items(queue: str, block: str) -> bytes:
        """Return the purpose of a block of items, in one queue."""
        return f"items {block} {queue}".encode()

    @staticmethod
    def presence(key: str, name: str) -> bytes:
        """Return the purpose of the presence of one worker or client."""
        return f"presence {key} {name}".encode()


class Keyring:
    """The secrets of one cluster. Equal secrets on two machines make equal keyrings.

    Args:
        secret: One secret, or several with commas between them: the first signs, all are accepted.
        encrypt: Whether `seal` also encrypts, with AES-256-GCM; `open` decrypts in any case.

    Attributes:
        identity: Name of the first secret, which reveals nothing about it.
        identities: Names of all secrets.
        refusals: Counts the bytes that were refused with this keyring.

    Raises:
        SecretError: A secret is too short.
        BackendError: ``encrypt`` is set, and the package `cryptography` is not installed.

    Examples:
        >>> keyring = Keyring("a secret of thirty-two characters")
        >>> sealed = keyring.seal(Purpose.BATCH, [b"hello"])
        >>> bytes(keyring.open(Purpose.BATCH, sealed))
        b'hello'
        >>> Keyring("another one of thirty-two letters").open(Purpose.BATCH, sealed)
        Traceback (most recent call last):
        ...
        distribute_challenge.errors.ForgedError: signed with another secret
    """

    def __init__(self, secret: str, *, encrypt: bool = False) -> None:
        texts = [text.strip() for text in secret.split(",")]
        for text in texts:
            if len(text) < SHORTEST:
                raise SecretError(
                    f"the secret has {len(text)} characters, and needs at least {SHORTEST} that "
                    f"cannot be guessed: `distribute-challenge secret` prints one"
                )
        self._use([text.encode() for text in texts], encrypt)

    @classmethod
    def insecure(cls) -> "Keyring":
        """Return the keyring for a cluster without a secret, which any program can make."""
        keyring = cls.__new__(cls)
        keyring._use([_NO_SECRET], encrypt=False)
        return keyring

    def _use(self, texts: Sequence[bytes], encrypt: bool) -> None:
        keys = [_Key(text) for text in texts]
        self._keys = {key.id: key for key in keys}
        self._first = keys[0]
        self._encrypt = encrypt
        if encrypt:
            self._first.cipher()  # So that a missing package is reported now.
        self._prefix = _PREFIX.pack(_MAGIC, _ENCRYPTED if encrypt else 0, self._first.id)
        self.identity = self._first.id.hex()
        self.identities = frozenset(key.id.hex() for key in keys)
        self.refusals = Refusals()

    def seal(self, purpose: bytes, parts: Sequence[Blob]) -> bytes:
        """Sign bytes, and encrypt them if the keyring encrypts.

        Args:
            purpose: What the bytes are, and their receiver, as in `Purpose`.
            parts: The bytes, in pieces.

        Raises:
            StoreFullError: They are too many to be encrypted.
        """
        if self._encrypt:
            parts = self._first.encrypted(b"".join(parts), self._prefix + purpose)
        signature = self.signature(purpose)
        for part in parts:
            signature.update(part)
        return b"".join([signature.trailer(), *parts])

    def open(self, purpose: bytes, sealed: Blob) -> bytes | memoryview:
        """Return the bytes that a holder of one of these secrets has sealed.

        Args:
            purpose: The purpose for which they must have been sealed.
            sealed: The result of `seal`.

        Raises:
            ForgedError: They were not sealed with these secrets, or for another purpose, or they
                were changed since.
            BackendError: They are encrypted, and the package `cryptography` is not installed here.
        """
        signature = self.check(purpose, sealed[:_START])
        body = memoryview(sealed)[_START:]
        signature.update(body)
        signature.verify()
        if signature.is_encrypted:
            return signature.key.decrypted(body, bytes(sealed[: _PREFIX.size]) + purpose)
        return bytes(body) if len(body) <= _LARGE else body

    def signature(self, purpose: bytes) -> "Signature":
        """Return a signature that is made piece by piece."""
        return Signature(self._first, self._prefix, purpose)

    def check(self, purpose: bytes, trailer: Blob) -> "Signature":
        """Return a signature that verifies bytes which come in pieces.

        After the last piece, call `Signature.verify`.

        Args:
            purpose: The purpose for which they must have been signed.
            trailer: The result of `Signature.trailer` at the sender.

        Raises:
            ForgedError: It is not a trailer, or one of another secret.
        """
        key, flags = self._key_of(trailer)
        return Signature(
            key, bytes(trailer[: _PREFIX.size]), purpose, bytes(trailer[_PREFIX.size :]), flags
        )

    @property
    def encrypts(self) -> bool:
        """Whether `seal` encrypts."""
        return self._encrypt

    @property
    def seals_as(self) -> str:
        """Name of the way in which `seal` seals; it is in the `opens` of receivers that open it."""
        return f"{self.identity}{_ENCRYPTED_TOO * self._encrypt}"

    @cached_property
    def opens(self) -> list[str]:
        """Names of all ways of sealing that this keyring opens."""
        ends = ["", _ENCRYPTED_TOO] if find_spec("cryptography") else [""]
        return [name + end for name in sorted(self.identities) for end in ends]

    def __repr__(self) -> str:
        return (
            f"<Keyring {', '.join(key.hex() for key in self._keys)}{' encrypting' * self._encrypt}>"
        )

    def _key_of(self, sealed: Blob) -> tuple["_Key", int]:
        if len(sealed) < _START:
            raise ForgedError("too short to be signed")
        magic, flags, key_id = _PREFIX.unpack_from(sealed)
        if magic != _MAGIC or flags & ~_ENCRYPTED:
            raise ForgedError("not signed, or in a way that this version does not know")
        key = self._keys.get(key_id)
        if key is None:
            raise ForgedError("signed with another secret")
        return key, flags


class Signature:
    """The signature of a long byte string, made piece by piece.

    `Keyring.signature` makes one to sign bytes, `Keyring.check` one to verify them.

    Args:
        key: The key to sign with.
        prefix: The first bytes of the seal: magic bytes, flags and key id.
        purpose: What the bytes are, and their receiver.
        expected: The signature that the bytes should have.
        flags: The flags of the seal.

    Attributes:
        is_encrypted: Whether the bytes are themselves a seal, with encrypted bytes in it.
    """

    __slots__ = ("_expected", "_prefix", "_signed", "is_encrypted", "key", "update")

    def __init__(
        self, key: "_Key", prefix: bytes, purpose: bytes, expected: bytes = b"", flags: int = 0
    ) -> None:
        self.key = key
        self._prefix = prefix
        self._expected = expected
        # To copy an HMAC that has the key already takes half the time.
        self._signed = key.signing.copy()
        #: Adds the next piece.
        self.update = self._signed.update
        self.update(prefix + len(purpose).to_bytes(2, "big") + purpose)
        self.is_encrypted = bool(flags & _ENCRYPTED)

    def trailer(self) -> bytes:
        """Return the trailer for the pieces added so far, of `TRAILER_LENGTH` bytes."""
        return self._prefix + self._signed.digest()

    def verify(self) -> None:
        """Raise `ForgedError` unless the pieces added so far are those that were signed."""
        if not hmac.compare_digest(self._signed.digest(), self._expected):
            raise ForgedError(_CHANGED)


class _Key:
    """One secret of a `Keyring`, with the keys that are derived from it."""

    def __init__(self, secret: bytes) -> None:
        self.signing = hmac.new(
            hmac.digest(secret, b"distribute_challenge signing", "sha256"), digestmod="sha256"
        )
        self._encryption = hmac.digest(secret, b"distribute_challenge encryption", "sha256")
        self.id = hmac.digest(secret, b"distribute_challenge name", "sha256")[:4]
        self._cipher: Any = None

    def cipher(self) -> Any:
        if self._cipher is None:
            try:
                from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            except ImportError as error:
                raise BackendError(
                    "encrypted calls need the package cryptography, which is not installed: pip "
                    "install cryptography"
                ) from error
            self._cipher = AESGCM(self._encryption)
        return self._cipher

    def encrypted(self, body: bytes, context: bytes) -> list[Blob]:
        if len(body) > MOST_ENCRYPTED:
            raise StoreFullError(
                f"{as_size(len(body))} cannot be encrypted at once, and no more than "
                f"{as_size(MOST_ENCRYPTED)} can: give the value in parts, or as a file that all "
                f"workers see"
            )
        nonce = os.urandom(_NONCE_LENGTH)
        return [nonce, self.cipher().encrypt(nonce, body, context)]

    def decrypted(self, body: memoryview, context: bytes) -> bytes:
        cipher = self.cipher()
        from cryptography.exceptions import InvalidTag

        try:
            plain: bytes = cipher.decrypt(body[:_NONCE_LENGTH], body[_NONCE_LENGTH:], context)
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce and a tag.
            raise ForgedError("it says that it is encrypted, and is not") from None
        return plain


def new_secret() -> str:
    """Return a secret that cannot be guessed, of letters, digits, ``-`` and ``_``.

    Examples:
        >>> len(new_secret())
        43
    """
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
