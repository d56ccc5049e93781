"""The dashboard's web server: the page, its data, and what other programs read.

| path | what | watches on for |
| --- | --- | --- |
| ``/`` | the page, which loads ``page.css`` and ``page.js`` | - |
| ``/api/snapshot`` | a `Snapshot` | `PAGE_WATCHES` |
| ``/api/backlog`` | unfinished calls, for scalers | does not watch |
| ``/metrics`` | a `Snapshot` for Prometheus | `SCRAPE_WATCHES` |

Guarantees:

- Every answer about the cluster needs the token, which is compared in constant time.
- It only reads. The secret of the cluster is in no answer.
- A request under a name that is not this server's is refused: another site's page could have its
  own name point to this address (DNS rebinding).
- The page loads nothing from other sites, and the browser would refuse to.
"""

import json
import secrets
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from ipaddress import ip_address
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from distribute_challenge.dashboard.cluster_state import backlog
from distribute_challenge.dashboard.collector import ANSWER_WITHIN, Collector
from distribute_challenge.dashboard.metrics import CONTENT_TYPE, metrics
from distribute_challenge.dashboard.watcher import Watcher
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery.broker.connection import connect, translated

__all__ = ["Dashboard"]

PAGE_WATCHES: Final = 15.0  # Seconds; the page asks once a second, in a hidden tab less often.
SCRAPE_WATCHES: Final = 180.0  # Seconds; Prometheus asks once a minute or more often.

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # The address has the token.
    "X-Content-Type-Options": "nosniff",
}
_PARTS: Final = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}


class Dashboard:
    """The web application of one cluster's dashboard.

    Args:
        url: The broker.
        token: What a request has to carry: as ``?token=``, or as a bearer token in its header
            ``Authorization``.
        hosts: Names of this server, beside ``localhost`` and any IP address.

    Attributes:
        app: The application, for an ASGI server.

    Raises:
        SecretError: There is no secret for this cluster.
    """

    def __init__(self, url: str, token: str, hosts: Sequence[str] = ()) -> None:
        self._url = url
        self._token = token.encode()
        self._hosts = {"localhost", *map(str.lower, hosts)}
        self._watcher = Watcher(Collector(url))
        self._connection = connect(url, answer_within=ANSWER_WITHIN)
        self._lock = threading.Lock()  # One request at a time uses the connection.
        routes = [Route(path, self._checked(self._part, is_open=path != "/")) for path in _PARTS]
        routes += [
            Route("/api/snapshot", self._checked(self._snapshot)),
            Route("/api/backlog", self._checked(self._backlog)),
            Route("/metrics", self._checked(self._metrics)),
        ]
        self.app = Starlette(routes=routes)

    def close(self) -> None:
        """Stop watching."""
        self._watcher.close()
        self._connection.close()

    def _checked(
        self, answer: Callable[[Request], Response], *, is_open: bool = False
    ) -> Callable[[Request], Response]:
        def checked(request: Request) -> Response:
            if not self._is_own(request.headers.get("host", "")):
                response = _text(
                    "this server does not have that name: use its IP address or localhost, or "
                    "start it with --name",
                    421,
                )
            elif not is_open and not self._has_token(request):
                response = _text(
                    "the token is missing or wrong: use the whole address that the command shows",
                    403,
                )
            else:
                try:
                    response = answer(request)
                except SystemFailureError as error:
                    response = _text(str(error), 503)
            response.headers.update(_HEADERS)
            return response

        return checked

    def _is_own(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name.lower() in self._hosts:
            return True
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _has_token(self, request: Request) -> bool:
        given = request.query_params.get("token")
        if given is None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return False
        return secrets.compare_digest(given.encode(), self._token)

    def _part(self, request: Request) -> Response:
        name, kind = _PARTS[request.url.path]
        content = files("distribute_challenge.dashboard").joinpath("page", name).read_bytes()
        return Response(content, media_type=kind)

    def _snapshot(self, request: Request) -> Response:
        return _json(self._watcher.snapshot(PAGE_WATCHES).to_json())

    def _metrics(self, request: Request) -> Response:
        text = metrics(self._watcher.snapshot(SCRAPE_WATCHES))
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    def _backlog(self, request: Request) -> Response:
        with self._lock, translated(self._url):
            return _json(json.dumps(backlog(self._connection)))


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _text(text: str, status: int) -> Response:
    return Response(text + "\n", status, media_type="text/plain")
