"""Blocks of items."""

from dataclasses import dataclass

import pytest

from distribute_challenge.core.framing import framed
from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.core.messages import PYTHON
from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.version import __version__


@dataclass
class Header:
    library: str = __version__
    python: str = PYTHON
    plain: bool = True
    joined: bool = False
    count: int = 1


@pytest.mark.parametrize(
    "frame", [b"", b"DCF1", framed({**vars(Header()), "more": 1}, []), framed(vars(Header()), [])]
)
def test_a_broken_frame_is_refused(frame: bytes) -> None:
    with pytest.raises((ForgedError, VersionMismatchError)):
        ItemBlock.decode(frame)


def test_built_in_values_fit_every_python() -> None:
    """Other items may hold bytecode."""
    ItemBlock([b""], 1, is_joined=False, is_plain=True, python="3.5").check_version()
    ItemBlock([b""], 1, is_joined=False, is_plain=False).check_version()
    with pytest.raises(VersionMismatchError, match=r"put by Python 3\.5, and this is Python 3"):
        ItemBlock([b""], 1, is_joined=False, is_plain=False, python="3.5").check_version()
