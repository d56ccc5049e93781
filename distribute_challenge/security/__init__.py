"""The cluster's secret, and the seal that only holders of the secret can put on bytes."""

from distribute_challenge.security.keyring import (
    ENCRYPTION_OVERHEAD,
    TRAILER_LENGTH,
    Keyring,
    Purpose,
    new_secret,
)
from distribute_challenge.security.refusals import Refusals
from distribute_challenge.security.sources import SECRET_FILE, keyring_for

__all__ = [
    "ENCRYPTION_OVERHEAD",
    "SECRET_FILE",
    "TRAILER_LENGTH",
    "Keyring",
    "Purpose",
    "Refusals",
    "keyring_for",
    "new_secret",
]
