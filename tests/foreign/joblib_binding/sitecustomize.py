"""Puts our backend in the place of joblib's "loky", in every process with this folder on its path.

The tests of joblib name "loky" in literals, and some start scripts, which import joblib themselves.
Workers need it as well: a `Parallel` inside a call may name "loky" there.
"""

import importlib
import multiprocessing
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

OURS = "distribute_challenge.joblib"


class AfterImport(MetaPathFinder):
    """Calls a function after the import of each of some modules.

    Args:
        actions: The functions, by the name of the module.
    """

    def __init__(self, **actions: Any) -> None:
        self._actions = {name.replace("__", "."): action for name, action in actions.items()}

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        action = self._actions.get(name)
        spec = PathFinder.find_spec(name, path, target) if action is not None else None
        if spec is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                action(module)

            loader.exec_module = exec_module
        return spec


def register(_: ModuleType) -> None:
    if OURS not in sys.modules:
        importlib.import_module(OURS)


def bind(ours: Any) -> None:
    from joblib import _parallel_backends, parallel

    class LokyBackend(ours.DistributeChallengeBackend):  # type: ignore[misc]
        default_n_jobs = 1  # That of joblib, where a program names no backend.

    _parallel_backends.LokyBackend = LokyBackend
    parallel.BACKENDS["loky"] = LokyBackend
    del parallel.BACKENDS["distribute_challenge"]


def share_key(module: Any) -> None:
    """Let a process use the `multiprocessing.Manager` of a test, although it is not its child."""
    module.current_process().authkey = os.environ["MANAGER_KEY"].encode()


sys.meta_path.insert(
    0, AfterImport(joblib=register, distribute_challenge__joblib=bind, billiard__process=share_key)
)
share_key(multiprocessing)
