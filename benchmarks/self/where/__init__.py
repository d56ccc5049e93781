"""Finds where the time of a call goes: ``python -m benchmarks.self --where``.

    marks       times at which processes pass places, in files
    instruments which places those are: functions of the library, patched in this benchmark alone
    worker      the embedded cluster's worker with these patches
    stages      from marks to the stages of a call
    measuring   takes the measurements
    report      writes them as tables

The library itself has no code for this, and costs nothing when it is not measured.
"""
