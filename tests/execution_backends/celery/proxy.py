"""A TCP proxy in front of a Redis that listens on a Unix socket, which can cut its connections, refuse new ones, or fall silent."""

import contextlib
import socket
import threading
from pathlib import Path

__all__ = ["Proxy"]


class Proxy:
    """Passes bytes on between a port of this machine and a Unix socket.

    Attributes:
        url: Its address as a broker URL.
    """

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent = threading.Event()
        self._refuses = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections; new ones are welcome."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def refuse(self) -> None:
        """Break all connections, and new ones as soon as they are made."""
        self._refuses.set()
        self.cut()

    def welcome(self) -> None:
        """Take new connections again."""
        self._refuses.clear()

    def fall_silent(self) -> None:
        """From now on the connections that there are swallow everything: nobody is told that they are dead."""
        self._silent.set()

    def speak(self) -> None:
        """New connections work; those that were silenced stay dead."""
        with self._lock:
            self._pairs = []
        self._silent = threading.Event()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._refuses.is_set():
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                with self._lock:
                    self._pairs.append((client, server))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink, self._silent), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not silent.is_set():
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
