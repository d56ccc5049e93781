"""The record says where it was made."""

import os
import platform
from pathlib import Path

from distribute_challenge.benchmarking.measuring.machine import _processor, machine
from distribute_challenge.version import __version__


def test_the_machine_record_has_cores_memory_versions_and_the_date() -> None:
    found = machine()
    assert found["cores"] == os.cpu_count()
    assert isinstance(found["memory"], int)
    assert found["memory"] > 2**28
    assert found["python"] == platform.python_version()
    assert found["distribute_challenge"] == __version__
    assert str(found["celery (client)"]).startswith("5.")
    assert str(found["date"]).endswith(" UTC")


def test_the_processor_has_a_name_where_the_system_tells_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast: 9000\nmodel name\t: Fast: 9000\n")
    assert _processor(cpuinfo) == "Fast: 9000"
    assert _processor(tmp_path / "none") == (platform.processor() or "unknown")
