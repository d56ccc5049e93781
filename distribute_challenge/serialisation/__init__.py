"""Functions, arguments, results and exceptions to bytes and back."""

from distribute_challenge.serialisation.exceptions import dumps_error, loads_error
from distribute_challenge.serialisation.functions import (
    LoadedFunction,
    PortableFunction,
    load_function,
    load_modules,
)
from distribute_challenge.serialisation.imports import ProjectImporter
from distribute_challenge.serialisation.parcels import (
    LARGE_BUFFER,
    LARGE_STREAM,
    Deposited,
    FindDepot,
    Keep,
    Open,
    Parcel,
    pack,
    pack_plain,
    pack_result,
    references_of,
    unpack,
)
from distribute_challenge.serialisation.pickling import Pickled, dumps, dumps_plain, loads

__all__ = [
    "LARGE_BUFFER",
    "LARGE_STREAM",
    "Deposited",
    "FindDepot",
    "Keep",
    "LoadedFunction",
    "Open",
    "Parcel",
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
    "pack",
    "pack_plain",
    "pack_result",
    "references_of",
    "unpack",
]
