"""Functions, arguments, results and exceptions to bytes and back."""

from distribute_challenge.serialisation.exceptions import dumps_error, loads_error
from distribute_challenge.serialisation.functions import (
    LoadedFunction,
    PortableFunction,
    load_function,
    load_modules,
)
from distribute_challenge.serialisation.imports import ProjectImporter
from distribute_challenge.serialisation.pickling import Pickled, dumps, dumps_plain, loads

__all__ = [
    "LoadedFunction",
    "Pickled",
    "PortableFunction",
    "ProjectImporter",
    "dumps",
    "dumps_error",
    "dumps_plain",
    "load_function",
    "load_modules",
    "loads",
    "loads_error",
]
