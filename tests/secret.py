"""The secret of the tests' own clusters, and what is made of it."""

from distribute_challenge.security import Keyring

__all__ = ["KEYRING", "SECRET"]

SECRET = "the-secret-of-all-tests-which-everybody-knows"
KEYRING = Keyring(SECRET)
