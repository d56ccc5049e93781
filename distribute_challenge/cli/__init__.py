"""The command ``distribute-challenge``."""

from distribute_challenge.cli.main import main

__all__ = ["main"]
