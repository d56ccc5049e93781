"""What a call may do to its standard streams and its event loop."""

import asyncio
import os
import sys


def close_streams() -> None:
    sys.stdout.close()
    sys.stderr.close()


def detach_streams() -> None:
    for stream in sys.stdout, sys.stderr:
        stream.detach()  # type: ignore[union-attr]


def wrap_streams() -> None:
    """The usual way to another encoding; what is wrapped is closed with its wrapping."""
    import io

    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="ascii")
    sys.stderr = io.TextIOWrapper(sys.stderr.buffer, encoding="ascii")


def have_no_streams() -> None:
    sys.stdout = sys.stderr = None  # type: ignore[assignment]


def close_numbers() -> None:
    os.close(1)
    os.close(2)


def reuse_numbers() -> None:
    file = os.open(os.devnull, os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def close_the_loop() -> str:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(asyncio.sleep(0, "done"))
    finally:
        loop.close()


def close_any_loop() -> str:
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:  # A test before this one has run coroutines in this thread.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(asyncio.sleep(0, "done"))
    finally:
        loop.close()


def run_and_have_no_loop() -> str:
    return asyncio.run(asyncio.sleep(0, "done"))
