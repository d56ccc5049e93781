"""Scripts that run to their end."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def run(folder: Path, engine: str, script: str) -> list[str]:
    """The lines that a script prints; `engine` is its default backend, with one worker process."""
    path = folder / "script.py"
    future, separator, rest = textwrap.dedent(script).rpartition(
        "from __future__ import annotations\n"
    )
    path.write_text(f"{future}{separator}from distribute_challenge import compute_this\n{rest}")
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env={
            **os.environ,
            "DISTRIBUTE_CHALLENGE_BACKEND": engine,
            "DISTRIBUTE_CHALLENGE_WORKERS": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()
