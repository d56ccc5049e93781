"""A Docker that is none: an engine that answers over HTTP, and a ``docker`` command beside it.

Both share a folder. There is a file for each container, network and volume, and what a container's
file holds is its state. Redis is real: ``up redis`` starts a server, ``down`` ends it.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from distribute_challenge.cluster.redis_server import server_program

COMMAND = r"""#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/calls"
case "$1 $2" in
    "context inspect") cat "$here/context"; exit ;;
    "compose version") cat "$here/compose-version"; exit ;;
esac
shift 3 # compose --ansi never
if [ "$1" = --project-name ]; then shift 2; fi
command=$1
if [ -e "$here/on-$command" ]; then . "$here/on-$command"; fi
case "$command" in
    config)
        port='{"target": 6379, "published": "'${REDIS_PORT:-6379}'"}'
        echo '{"services": {"worker": {}, "redis": {"ports": [{"target": 1, "published": ""}, '$port']}}}' ;;
    run) echo "Python 3.99.1" ;;
    down)
        while [ -e "$here/redis.pid" ]; do kill "$(cat "$here/redis.pid")"; sleep 0.01; done
        rm -f "$here"/containers/* "$here"/networks/* "$here"/volumes/* ;;
    up)
        for service; do :; done
        touch "$here/networks/default" "$here/volumes/redis"
        if [ "$service" = redis ]; then
            echo running > "$here/containers/redis-1"
            echo "requirepass $REDIS_PASSWORD" | SERVER - --port "$REDIS_PORT" --save "" --daemonize yes \
                --pidfile "$here/redis.pid" --dir "$here" >/dev/null
        else
            wanted=$(echo "$@" | sed -n 's/.*worker=\([0-9]*\).*/\1/p')
            rm -f "$here"/containers/worker-*
            for number in $(seq "$wanted"); do echo running > "$here/containers/worker-$number"; done
        fi ;;
esac
"""


class FakeDocker:
    """The folder, and what tests want to happen.

    Attributes:
        conditions: By the name of a container: what is different from a healthy one's, as an engine
            puts it.
        events: Names of containers, and what happened to them, as an engine puts it.
        readings: By the name of a container: its seconds of processor time.
        memory: What each takes, as an engine puts it.
        breaks: By a path's beginning: status and body of an answer in the place of the true one.
        publisher: Name of the container that publishes every port.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conditions: dict[str, dict[str, Any]] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.readings: dict[str, float] = {}
        self.memory: dict[str, Any] = {"usage": 5_000, "stats": {"inactive_file": 1_000}}
        self.breaks: dict[str, tuple[int, bytes]] = {}
        self.publisher: str | None = None
        for kind in ("containers", "networks", "volumes"):
            (folder / kind).mkdir()
        self.set("compose-version", "v2.99.1\n")
        self.set("context", "")
        command = folder / "docker"
        command.write_text(COMMAND.replace("SERVER", server_program()))
        command.chmod(0o755)

    def set(self, name: str, text: str) -> None:
        """Write a file of the folder: ``on-COMMAND`` is done before that command of Compose."""
        (self.folder / name).write_text(text)

    @property
    def calls(self) -> list[str]:
        """Command lines so far."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def names(self, kind: str) -> list[str]:
        return sorted(path.name for path in (self.folder / kind).iterdir())

    def ended(self, name: str, exit_code: int) -> None:
        """Let a container have ended."""
        self.events.append(
            (name, {"Action": "die", "Actor": {"Attributes": {"exitCode": str(exit_code)}}})
        )

    # --- what the engine says

    def answer(self, method: str, path: str, query: dict[str, list[str]]) -> Any:
        """What the engine says; None: there is no such thing."""
        if method == "DELETE":
            kind, name = path.strip("/").split("/")
            (self.folder / kind / name).unlink(missing_ok=True)
            return {}
        if path == "/version":
            return {"Version": "99.1", "ApiVersion": "1.41"}
        if path == "/containers/json":
            if "publish" in query.get("filters", [""])[0]:
                return [{"Names": [f"/{self.publisher}"]}] if self.publisher else []
            return [self._listed(name) for name in self.names("containers")]
        if path == "/events":
            (container,) = json.loads(query["filters"][0])["container"]
            found = [event for name, event in self.events if container == identity(name)]
            return "\n".join(json.dumps(event) for event in found).encode()
        if path == "/networks":
            return [{"Name": name} for name in self.names("networks")]
        if path == "/volumes":
            return {"Volumes": [{"Name": name} for name in self.names("volumes")] or None}
        _, _, container, what = path.split("/")
        by_identity = {identity(name): name for name in self.names("containers")}
        tell = {"json": self._inspected, "stats": self._stats, "logs": self._logs}[what]
        return tell(by_identity[container]) if container in by_identity else None

    def _listed(self, name: str) -> dict[str, Any]:
        service, _, number = name.rpartition("-")
        labels = {
            "service": service,
            "container-number": number,
            "oneoff": str(service.endswith("run")),
        }
        return {
            "Id": identity(name),
            "Names": [f"/{name}"],
            "State": (self.folder / "containers" / name).read_text().strip(),
            "Created": 1_000,
            "Labels": {f"com.docker.compose.{key}": value for key, value in labels.items()},
        }

    def _inspected(self, name: str) -> dict[str, Any]:
        return {
            "State": {},
            "RestartCount": 0,
            "Config": {"Tty": True},
            **self.conditions.get(name, {}),
        }

    def _stats(self, name: str) -> dict[str, Any]:
        if name not in self.readings:
            return {"read": "0001-01-01T00:00:00Z", "memory_stats": {}}
        return {
            "read": "1970-01-01T00:16:50.123456789Z",
            "cpu_stats": {"cpu_usage": {"total_usage": int(self.readings[name] * 1e9)}},
            "memory_stats": self.memory,
        }

    def _logs(self, name: str) -> bytes:
        return f"first of {name}\nlast of {name}\n".encode()


def identity(name: str) -> str:
    """Id of a container."""
    return hashlib.sha256(name.encode()).hexdigest()


@contextmanager
def fake_docker(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    """What the ``docker`` command and the SDK find while the block runs."""
    fake = FakeDocker(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = (
            1 << 16
        )  # An answer in one piece: the second of two would wait for a word from the other side.

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = re.sub(r"^/v[\d.]+", "", parts.path)
            found = fake.answer(self.command, path, parse_qs(parts.query))
            status, body = next(
                (broken for begin, broken in fake.breaks.items() if path.startswith(begin)),
                (404, b'{"message": "no such thing"}')
                if found is None
                else (200, found if isinstance(found, bytes) else json.dumps(found).encode()),
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if (
                path == "/events"
            ):  # Here the SDK reads on until the engine says that there is no more.
                self.send_header("Transfer-Encoding", "chunked")
                body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_DELETE = do_GET  # noqa: N815 # the name is the base class's

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    patch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    patch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
