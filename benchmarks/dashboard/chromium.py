"""Drives a real Chromium without a window, by its DevTools protocol over two pipes.

A pipe needs no port and no package for web sockets; messages are JSON, with a zero byte after each.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Chromium", "program"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60.0  # Seconds for each answer; the machine may be busy.


def program() -> str | None:
    """Return the path of a Chromium; None: there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)


class Chromium:
    """A browser with one page, for a ``with`` block.

    Args:
        path: The program.
        width: Of the page, in pixels.
        height: The same.
        is_dark: Whether the page is asked for dark colours.

    Attributes:
        requests: The addresses that the page has asked for.
        errors: What the page's scripts have thrown, and what the console has of errors.
    """

    def __init__(
        self, path: str, *, width: int = 1280, height: int = 900, is_dark: bool = False
    ) -> None:
        self._path = path
        self._size = width, height
        self._is_dark = is_dark
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="chromium")
        from_here, to_browser = os.pipe()
        from_browser, to_here = os.pipe()
        width, height = self._size
        arguments = [
            self._path,
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",  # It does not start as root otherwise; it only shows our own page.
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            f"--window-size={width},{height}",
            f"--user-data-dir={self._folder}",
        ]
        # The browser reads from descriptor 3 and writes to 4; the shell puts the pipes there.
        line = f'exec "$@" 3<&{from_here} 4>&{to_here}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", line, "bash", *arguments],
            pass_fds=(from_here, to_here),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(from_here)
        os.close(to_here)
        self._to, self._from = to_browser, from_browser
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._ask(f"{domain}.enable")
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        if self._is_dark:
            scheme = {"name": "prefers-color-scheme", "value": "dark"}
            self._ask("Emulation.setEmulatedMedia", features=[scheme])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._to)
        os.close(self._from)
        try:
            self._process.wait(5)  # It ends when its pipe closes.
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, address: str) -> None:
        """Open a page."""
        self._ask("Page.navigate", url=address)

    def text(self, selector: str = "body") -> str:
        """Return the text that a part of the page shows; empty if there is no such part."""
        found = f"document.querySelector({json.dumps(selector)})"
        return str(self.run(f"{found}?.innerText ?? {found}?.textContent ?? ''"))

    def run(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture of the page.

        Args:
            path: The file, of PNG.
            whole: The whole page, and not only what the window shows.
        """
        answer = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]  # type: ignore[no-any-return] # an object
            self._note(answer)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._from, 1 << 20) if ready else b""
            if not data:
                raise AssertionError(f"Chromium does not answer: exit code {self._process.poll()}")
            self._buffer += data
        first, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(first)  # type: ignore[no-any-return] # an object

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(str(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])
