"""Functions, arguments, results and exceptions to bytes and back."""

from distribute_challenge.serialisation.exceptions.encoding import dumps_error, loads_error
from distribute_challenge.serialisation.functions import (
    SAME_BURST,
    LoadedFunction,
    PortableFunction,
    UnpackedFunction,
    load_function,
    unpack_function,
)
from distribute_challenge.serialisation.items import MOST_ITEMS, pack_items
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
    with_inputs,
    without_inputs,
)
from distribute_challenge.serialisation.pickling import Pickled, dumps, dumps_plain, loads
from distribute_challenge.serialisation.script.namespace import Script

__all__ = [
    "LARGE_BUFFER",
    "LARGE_STREAM",
    "MOST_ITEMS",
    "SAME_BURST",
    "Deposited",
    "FindDepot",
    "Keep",
    "LoadedFunction",
    "Open",
    "Parcel",
    "Pickled",
    "PortableFunction",
    "Script",
    "UnpackedFunction",
    "dumps",
    "dumps_error",
    "dumps_plain",
    "load_function",
    "loads",
    "loads_error",
    "pack",
    "pack_items",
    "pack_plain",
    "pack_result",
    "references_of",
    "unpack",
    "unpack_function",
    "with_inputs",
    "without_inputs",
]
