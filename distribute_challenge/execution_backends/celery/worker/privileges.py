"""Keeps workers from running as root, as each client can do all that its workers may do.

In a container, root owns all files, and often the devices and the network, and one hole in the
kernel gives it the whole machine. There a worker refuses to start as root, as it takes one line to
give a container a user. Elsewhere root may be the only user, so the worker only warns.
"""

import os
from pathlib import Path
from typing import Any

from celery import signals

from distribute_challenge.errors import SystemFailureError
from distribute_challenge.log import logger
from distribute_challenge.settings import ALLOW_ROOT_VARIABLE, allow_root

__all__ = ["container", "guard", "guard_celery"]

# Files that Docker and Podman put into each of their containers.
_MARKS = {"/.dockerenv": "Docker", "/run/.containerenv": "Podman"}
_FIRST_PROCESS = "/proc/1/cgroup"
# Parts of a control group's name, as Docker, Kubernetes, Podman, LXC and containerd make them.
_GROUPS = ("docker", "kubepods", "libpod", "lxc", "containerd")

WARNING = (
    "this worker runs as root, and so does every call that it is sent: "
    "start it as a user who owns no more than its calls need"
)


def container() -> str | None:
    """Return a text of what shows that this process runs in a container; None: nothing shows it."""
    for path, engine in _MARKS.items():
        if os.path.exists(path):
            return f"{engine}'s {path}"
    # Set by Kubernetes, and by systemd, Podman and LXC.
    for variable in ("KUBERNETES_SERVICE_HOST", "container"):
        if os.environ.get(variable):
            return f"the variable {variable}"
    try:
        groups = Path(_FIRST_PROCESS).read_text()
    except OSError:
        return None  # No Linux, or no /proc.
    return (
        f"the name of its control group in {_FIRST_PROCESS}"
        if any(name in groups for name in _GROUPS)
        else None
    )


def guard() -> None:
    """Refuse to run as root in a container; elsewhere warn, once the worker has its log.

    Raises:
        SystemFailureError: This process runs as root in a container, and the environment does not
            allow it.
        ValueError: The variable that allows it is neither 0 nor 1.
    """
    if os.geteuid() != 0 or allow_root():
        return
    if (shown := container()) is not None:
        raise SystemFailureError(
            f"a worker does not run as root in a container (this is one by {shown}), as every call "
            f"could then do what root "
            f'may: give it a user, by `user: "1000"` in the Compose file, `USER 1000` in the '
            f"Dockerfile, --user 1000 for docker "
            f"run or securityContext.runAsUser in Kubernetes; {ALLOW_ROOT_VARIABLE}=1 starts it "
            f"all the same"
        )
    signals.celeryd_after_setup.connect(_warn)


def guard_celery() -> None:
    """Do the same when Celery's own command starts a worker, and end the command with an error."""
    signals.celeryd_init.connect(_guard)


def _guard(**_: Any) -> None:
    try:
        guard()
    except (SystemFailureError, ValueError) as error:
        # Celery logs other exceptions of its hooks, and goes on.
        raise SystemExit(f"Error: {error}") from None


def _warn(**_: Any) -> None:
    logger.warning(WARNING)
