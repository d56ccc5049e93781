"""A connection to Redis that can be cut, silent, refused, slow or narrow."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self

__all__ = ["Proxy"]

CHUNK = 64 << 10  # Bytes.
DONE_WITHIN = 10.0  # Seconds for an order to the proxy's thread; it takes thousandths.
# Closing then sends a reset, which the other side sees at once, and not a polite end.
_ABORT = struct.pack("ii", 1, 0)


class Proxy:
    """A TCP proxy on the loopback address, in a thread of its own.

    Args:
        target: Port of this machine that it leads to, or a Unix socket.

    Attributes:
        port: At which it listens; the same from `start` to `close`.

    Guarantees:

    - Nothing is lost, doubled or reordered on a line that is up. One that is silent keeps what it
      was given, and passes it on when it is healed, as TCP does once packets get through again.
    - All state belongs to the proxy's thread; an order has been carried out when its method
      returns.
    """

    def __init__(self, target: int | Path) -> None:
        self.port = 0
        self._target = target
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._delay = 0.0
        self._mute = False
        self._rate = 0.0
        self._wide = asyncio.Event()
        self._wide.set()
        self._free = [0.0, 0.0]

    def start(self) -> None:
        """Begin to listen."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._order(self._listen())

    def cut(self) -> None:
        """Reset the connections that there are. New ones come about."""
        self._order(self._cut())

    def silence(self, *, new: bool = False) -> None:
        """Deliver nothing any more, in either direction, without a word to either side.

        Args:
            new: Also on connections that are made from now on, which are taken and then starve;
                otherwise only those that there are go silent, half-open as after a router's loss of
                memory.
        """
        self._order(self._silence(new))

    def refuse(self) -> None:
        """Reset the connections that there are, and take no more."""
        self._order(self._refuse())

    def slow_down(self, seconds: float) -> None:
        """Keep back what passes, in each direction.

        Args:
            seconds: For so long.
        """
        self._order(self._slow_down(seconds))

    def narrow(self, rate: float) -> None:
        """Let only so much pass, in each direction.

        Args:
            rate: Bytes per second, of all connections together.
        """
        self._order(self._narrow(rate))

    def heal(self) -> None:
        """Let everything pass again, at once."""
        self._order(self._heal())

    def close(self) -> None:
        """End it, and all connections. Safe to call again, or before `start`."""
        if self._loop is None:
            return
        self._order(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join(DONE_WITHIN)
        self._loop.close()
        self._loop = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _order(self, order: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None, "it has not been started"
        asyncio.run_coroutine_threadsafe(order, self._loop).result(DONE_WITHIN)

    # --- in the proxy's thread

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        links, self._links = self._links, set()
        for link in links:
            link.abort()
        await asyncio.gather(*(link.ended() for link in links))

    async def _silence(self, new: bool) -> None:
        self._mute = new
        for link in self._links:
            link.flow.clear()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _end(self) -> None:
        await self._refuse()
        # Who is just being connected is not waited for.
        others = asyncio.gather(
            *asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True
        )
        others.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await others

    async def _slow_down(self, seconds: float) -> None:
        self._delay = seconds

    async def _narrow(self, rate: float) -> None:
        self._rate = rate
        self._wide.clear()

    async def _heal(self) -> None:
        self._delay, self._mute = 0.0, False
        self._wide.set()
        for link in self._links:
            link.flow.set()
        if self._server is None:
            await self._listen()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._to_target()
        except OSError:
            _abort(writer)  # As Redis' own machine would answer, only a moment later.
            return
        link = _Link((writer, far_writer))
        if self._mute:
            link.flow.clear()
        self._links.add(link)
        link.run(self._pump(link, reader, far_writer, 0), self._pump(link, far_reader, writer, 1))
        await link.ended()
        self._links.discard(link)

    async def _to_target(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _pump(
        self,
        link: "_Link",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: int,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await link.flow.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if not self._wide.is_set():
                    await self._squeeze(len(data), direction)
                writer.write(data)
                await writer.drain()
        await link.flow.wait()  # The end of a connection does not pass a silent line, either.
        link.close()

    async def _squeeze(self, size: int, direction: int) -> None:
        """Wait until so many bytes have got through, behind those of other connections."""
        now = asyncio.get_running_loop().time()
        self._free[direction] = max(self._free[direction], now) + size / self._rate
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wide.wait(), self._free[direction] - now)


class _Link:
    """One connection through the proxy: two sockets, and a pump for each direction.

    Args:
        writers: Of the two sockets.
    """

    def __init__(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.flow = asyncio.Event()
        self.flow.set()
        self._writers = writers
        self._pumps: list[asyncio.Task[None]] = []

    def run(self, *pumps: Coroutine[Any, Any, None]) -> None:
        self._pumps = [asyncio.ensure_future(pump) for pump in pumps]

    def close(self) -> None:
        """End both sides, once what they were given is on its way.

        Called by one of the pumps; the other ends, too.
        """
        for writer in self._writers:
            writer.close()
        for pump in self._pumps:
            if pump is not asyncio.current_task():
                pump.cancel()

    def abort(self) -> None:
        """Reset both sides."""
        for writer in self._writers:
            _abort(writer)
        for pump in self._pumps:
            pump.cancel()

    async def ended(self) -> None:
        await asyncio.gather(*self._pumps, return_exceptions=True)


def _abort(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()
