"""What a worker may do: whoever may send it calls may do the same, so it does not run as root.

In a container root owns the files, and often the devices and the network, of everything in it, and
needs one hole in the kernel to own the machine. There a worker refuses to start, as a user of the
container's own takes one line; elsewhere, where root may be all there is, it warns.
"""

import os
from pathlib import Path
from typing import Any

from celery import signals

from distribute_challenge.errors import SystemFailureError
from distribute_challenge.log import logger
from distribute_challenge.settings import ALLOW_ROOT_VARIABLE, allow_root

__all__ = ["container", "guard", "guard_celery"]

# Files that an engine puts into each of its containers: Docker, and Podman.
_MARKS = {"/.dockerenv": "Docker", "/run/.containerenv": "Podman"}
_FIRST_PROCESS = "/proc/1/cgroup"
# Parts of a control group's name, as the engines make them: Docker, Kubernetes, Podman, LXC,
# containerd.
_GROUPS = ("docker", "kubepods", "libpod", "lxc", "containerd")

WARNING = "this worker runs as root, and so does every call that it is sent: start it as a user who owns no more than its calls need"


def container() -> str | None:
    """What shows that this process runs in a container; None if nothing does."""
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
    """Refuse to go on as root in a container; elsewhere warn, once the worker has its log.

    Raises:
        SystemFailureError: This process is root's, in a container, and nobody has allowed that.
        ValueError: The variable that allows it is neither 0 nor 1.
    """
    if os.geteuid() != 0 or allow_root():
        return
    if (shown := container()) is not None:
        raise SystemFailureError(
            f"a worker does not run as root in a container (this is one by {shown}), as every call "
            f"could then do what root "
            f'may: give it a user, by `user: "1000"` in the Compose file, `USER 1000` in the Dockerfile, --user 1000 for docker '
            f"run or securityContext.runAsUser in Kubernetes; {ALLOW_ROOT_VARIABLE}=1 starts it "
            f"all the same"
        )
    signals.celeryd_after_setup.connect(_warn)


def guard_celery() -> None:
    """Do the same when Celery's own command starts a worker, and end it with the reason."""
    signals.celeryd_init.connect(_guard)


def _guard(**_: Any) -> None:
    try:
        guard()
    except (SystemFailureError, ValueError) as error:
        raise SystemExit(
            f"Error: {error}"
        ) from None  # Celery logs other exceptions of its hooks, and goes on.


def _warn(**_: Any) -> None:
    logger.warning(WARNING)
