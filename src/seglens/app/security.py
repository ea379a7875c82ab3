"""Who may ask: the right host, the right page, whoever has the token; and what a browser may do with the answer."""

import hmac
import json
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode

from seglens.app.faults import Fault

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

SAFE = ("GET", "HEAD")
HEADER = b"x-seglens"
"""Of requests that change something: a form of another site cannot send it."""


class Gate:
    """What a request must show. host, port: where the server listens. token: in the address that starts it."""

    def __init__(self, host: str, port: int) -> None:
        self.port = port
        self.token = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self.name = f"seglens-{port}"
        self.hosts = {f"{name}:{port}" for name in _names(host)}
        self.origins = {f"http://{name}" for name in self.hosts}
        self.everywhere = host in ("0.0.0.0", "::")
        if port == 80:
            self.hosts |= {name.rpartition(":")[0] for name in self.hosts}

    def policy(self, host: str) -> str:
        """Content-Security-Policy of the page: its own files, and nothing else."""
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; "
            f"connect-src 'self' ws://{host}; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )

    def check_host(self, headers: list[tuple[bytes, bytes]], reached: str | None = None) -> str:
        """The one host that was asked. Raises Fault 421: a page elsewhere that points its name here is not answered.

        reached: the address of this machine at which the request came in. Where the server listens on all of them, it
        may be asked by that number too, for a number is no name that somebody could point here.
        """
        hosts = [v.decode("latin-1").lower() for k, v in headers if k == b"host"]
        own = f"[{reached}]" if reached and ":" in reached else reached
        by_number = self.everywhere and own is not None and hosts == [f"{own}:{self.port}"]
        if not by_number and (len(hosts) != 1 or hosts[0] not in self.hosts):
            raise Fault(421, "HostError", f"this server answers for {', '.join(sorted(self.hosts))} alone.")
        return hosts[0]

    def check_request(self, method: str, host: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Raise Fault 401 without the cookie, 403 for what another page sent."""
        origins = [v.decode("latin-1") for k, v in headers if k == b"origin"]
        sites = [v for k, v in headers if k == b"sec-fetch-site"]
        unsafe = method not in SAFE
        if any(site not in (b"same-origin", b"none") for site in sites):
            raise Fault(403, "OriginError", "this was asked by a page of another site.")
        if (origins and origins != [f"http://{host}"]) or (unsafe and not origins):
            raise Fault(403, "OriginError", f"the request is to come from http://{host}, and say so (Origin).")
        if unsafe and method != "WEBSOCKET" and [v for k, v in headers if k == HEADER] != [b"1"]:
            raise Fault(403, "OriginError", "what changes something carries the header X-Seglens: 1.")
        if not self._knows(headers):
            message = "the page does not know you.\n  Open the address that `seglens app` printed, with its token."
            raise Fault(401, "TokenError", message)

    def welcome(self, query: bytes) -> str | None:
        """Where to go on without the token of the address; None without one. Raises Fault 403 for a wrong one."""
        asked = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        if "token" not in asked:
            return None
        tokens = asked.pop("token")
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0].encode(), self.token.encode()):
            raise Fault(403, "TokenError", "the token is not that of this server.\n  Open the address that it printed.")
        rest = urlencode(asked, doseq=True)
        return f"/?{rest}" if rest else "/"

    @property
    def cookie(self) -> str:
        """Set-Cookie for whoever had the token."""
        return f"{self.name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"

    def _knows(self, headers: list[tuple[bytes, bytes]]) -> bool:
        found: list[str] = []
        for key, value in headers:
            if key == b"cookie":
                jar: SimpleCookie = SimpleCookie()
                try:
                    jar.load(value.decode("latin-1"))
                except CookieError:
                    continue
                found += [jar[self.name].value] if self.name in jar else []
        return any(hmac.compare_digest(f.encode(), self._cookie.encode()) for f in found)


class Guard:
    """Middleware: nothing behind it is reached but by requests that pass the gate; every answer carries the headers."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """One request or socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = [(k.lower(), v) for k, v in scope["headers"]]
        socket_ = scope["type"] == "websocket"
        try:
            host = self._gate.check_host(headers, (scope.get("server") or [None])[0])
            # Asked as sent: what a decoded path would mean elsewhere is of no concern here.
            if socket_ or scope["path"].startswith("/api"):
                self._gate.check_request("WEBSOCKET" if socket_ else scope["method"], host, headers)
            elif scope["method"] not in SAFE:
                raise Fault(405, "MethodError", "only GET and HEAD are answered here.")
        except Fault as fault:
            await (_refused(send) if socket_ else _answered(send, fault, self._extra("")))
            return
        if socket_:
            await self._app(scope, receive, send)
            return
        extra = self._extra(host)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {k.lower() for k, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((k, v) for k, v in extra if k not in own)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _extra(self, host: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"content-security-policy", self._gate.policy(host).encode() if host else b"default-src 'none'"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"x-frame-options", b"DENY"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
            (b"cache-control", b"no-store"),
        ]


async def _answered(send: Callable[[Message], Awaitable[None]], fault: Fault, extra: list[tuple[bytes, bytes]]) -> None:
    body = json.dumps(fault.to_dict()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refused(send: Callable[[Message], Awaitable[None]]) -> None:
    # Before it is accepted, a socket that is closed is answered with 403.
    await send({"type": "websocket.close", "code": 1008})


def _names(host: str) -> set[str]:
    """Names by which a browser may call the server that listens there."""
    loopback = {"127.0.0.1", "localhost", "[::1]"}
    if host in ("127.0.0.1", "localhost", "::1", "[::1]"):
        return loopback
    if host not in ("0.0.0.0", "::"):
        return {f"[{host}]" if ":" in host else host.lower()}
    names = {socket.gethostname().lower(), socket.getfqdn().lower()}
    for name in list(names):
        try:
            names |= {str(found[4][0]) for found in socket.getaddrinfo(name, None, socket.AF_INET)}
        except OSError:
            continue
    return loopback | names
