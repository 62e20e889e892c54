"""Only the page itself may talk to its server, whatever other sites the browser has open."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERY = ("0.0.0.0", "::")  # of all network interfaces
# Nothing of another host, no script or style in the page's text, no frame around it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Guard:
    """An ASGI application behind checks of Host, Origin and Sec-Fetch-Site.

    A site whose name is made to point to this machine (DNS rebinding) still sends its own name as
    Host. names: by which the page may be called; with "0.0.0.0" or "::" among them it may be called
    by any address, which cannot be made to point elsewhere.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]):
        self.app, self.names = app, {*LOOPBACK, *map(str.lower, names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if reason := self._why_refused(scope, Headers(scope=scope)):
            await JSONResponse({"error": reason}, 403)(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)

    def _why_refused(self, scope: Scope, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(host):
            return f"Host: found {host!r}; expected a name of this server, see --host"
        if origin is not None and origin.partition("://")[2] != host:
            return f"Origin: found {origin!r}; expected that of this page"
        opened = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        site = headers.get("sec-fetch-site", "none")
        if site not in {"same-origin", "none"} and not opened:  # a link to the page may be followed
            return f"Sec-Fetch-Site: found {site!r}; expected same-origin"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name in self.names or (not self.names.isdisjoint(EVERY) and _is_address(name))


def _is_address(name: str | None) -> bool:
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True
