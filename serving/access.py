"""Who may ask what: the layer that finds the key of a request, and the one table of rights.

A key comes in X-API-Key, in Authorization: Bearer, in Ocp-Apim-Subscription-Key, or in the cookie
of someone who signed in on the page; the first of these that was sent counts. The key found is in
`scope["state"]["key"]`, None for open paths and in a service without keys.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import Forbidden, Unauthenticated
from serving.keys.file import CREATE
from serving.keys.held import HeldKeys
from serving.keys.key import RANK, Record
from serving.limits import ANONYMOUS, Limits

OPEN = None
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"

RIGHTS: dict[str, str | None] = {
    "/anomaly": "score",
    "/invocations": "score",
    # Anybody may see that the service lives; load balancers and orchestrators have no keys.
    "/health": OPEN,
    "/ping": OPEN,
    "/v2/health": OPEN,
    # What the sign-in page needs: files of this project, which say nothing of a model.
    "/static": OPEN,
    "/static-offline-docs": OPEN,
    SIGN_IN: OPEN,
    SIGN_OUT: OPEN,
    "/v2": "score",
    "/anomalydetector": "score",
    "/api": "operate",
}
"""The scope that a path and everything below it needs; the longest entry counts.

What is not listed may be read with `score`: the page, /model, /docs, /openapi.json, and /metrics
too, for its scores and counts tell of the process (Prometheus sends a key by `authorization`).
Anything else that is not listed needs `admin`: a new way to change things is closed until somebody
has decided who may.
"""
READ, CHANGE = "score", "admin"
READABLE = ("/api",)
"""Where reading needs no more than `score`; what is listed above is for what changes something."""
V2_READY = re.compile("/v2/models/[^/]+(/versions/[^/]+)?/ready")
SAFE = ("GET", "HEAD", "OPTIONS")

POLICY_VIOLATION = 1008
"""A close code of RFC 6455."""

COOKIE = b"kizashi_key"
WAYS = "send it in X-API-Key or as Authorization: Bearer"
NO_KEY = f"a key is needed; {WAYS}"
WRONG_KEY = "the key is not known here; 'python -m serving.keys list' shows which there are"
NOT_LOCAL = (
    f"this service has no keys, so it answers on this machine only; create one with '{CREATE}', "
    "or let everybody in with KIZASHI_ALLOW_ANONYMOUS=true"
)
FOREIGN_NAME = (
    "this service has no keys, so it is asked as 'localhost' or by address, not as {}; create "
    f"a key with '{CREATE}', or let everybody in with KIZASHI_ALLOW_ANONYMOUS=true"
)
ELSEWHERE = "another site sent this request; scripts of other origins have to send a key"

Headers = dict[bytes, bytes]
AskToSignIn = Callable[[Scope, Unauthenticated | Forbidden], Response]


def needed(method: str, path: str) -> str | None:
    """The scope that a request needs, None for an open path."""
    if method in SAFE and path.startswith(READABLE):
        return READ
    right = RIGHTS.get(path, READ)
    if path in RIGHTS:
        return right
    place = path
    while place := place.rpartition("/")[0]:
        if place in RIGHTS:
            # Whether a model can be asked, in the words of V2: its orchestrators have no keys.
            ready = place.startswith("/v2") and method in SAFE and V2_READY.fullmatch(path)
            return OPEN if ready else RIGHTS[place]
    return READ if method in SAFE else CHANGE


class Rights:
    """Decides about a request by its head."""

    def __init__(
        self,
        keys: HeldKeys,
        limits: Limits,
        *,
        rate_limit: int = 0,
        allow_anonymous: bool = False,
        origins: Collection[str] = (),
    ) -> None:
        self.keys = keys
        self.limits = limits
        self.rate_limit = rate_limit
        self.allow_anonymous = allow_anonymous
        self.origins = frozenset(origins)

    def check(self, scope: Scope, headers: Headers, right: str, state: dict[str, Any]) -> None:
        """Leave the request's key in its `state`; raises Unauthenticated, Forbidden and
        TooManyRequests. A request that is asked about twice counts once."""
        state["key"] = None
        if not self.keys.required:
            self._check_anonymous(scope, headers)
            self._count(ANONYMOUS, self.rate_limit, state)
            return
        key = self._key(scope, headers, right, state)
        self._count(key.id, key.limit or self.rate_limit, state)
        state["key"] = key

    def knows(self, scope: Scope, headers: Headers) -> bool:
        """Whether an open path may tell this request more than a stranger: it brings a key that
        holds, or nobody needs one."""
        try:
            return not self.keys.required or bool(self._key(scope, headers, READ, {}))
        except (Unauthenticated, Forbidden):
            return False

    def _key(self, scope: Scope, headers: Headers, right: str, state: dict[str, Any]) -> Record:
        """The key of a request, which has this right."""
        sent, by_cookie = sent_key(headers)
        if not sent:
            raise Unauthenticated(NO_KEY)
        key = checked(self.keys, sent)
        if by_cookie:
            # The browser sends a cookie by itself, so another site could make it ask.
            check_same_site(scope["method"], headers)
            state["signed_in"] = True
        if key.rank < RANK[right]:
            held = ", ".join(key.scopes)
            raise Forbidden(f"the key '{key.name}' has the scope {held}; {right} is needed")
        return key

    def _count(self, who: str, limit: int, state: dict[str, Any]) -> None:
        if limit and "counted" not in state:
            self.limits.take(who, limit)
            state["counted"] = True

    def _check_anonymous(self, scope: Scope, headers: Headers) -> None:
        """Without keys whoever reaches the service may ask, which a browser on this machine does
        for any site: only its own page, and programs, are let in. A site whose name was turned
        into this machine's address looks like its own page, and is known by that name."""
        if not self.allow_anonymous:
            server = scope.get("server")
            if not _local(server):
                raise Unauthenticated(NOT_LOCAL)
            host = headers.get(b"host", b"")
            if not _named_locally(host) and (server is None or host != server[0].encode()):
                raise Forbidden(FOREIGN_NAME.format(repr(host[:60].decode("latin-1"))))
        if scope["method"] not in SAFE:
            origin = headers.get(b"origin", b"").decode("latin-1")
            if "*" not in self.origins and origin not in self.origins:
                check_same_site(scope["method"], headers)


class Access:
    """ASGI layer that lets through what has the right to it.

    Raises what `rights` raises; who opened a page in a browser is shown the sign-in page by `ask`
    instead of Unauthenticated and Forbidden.
    """

    def __init__(self, app: ASGIApp, *, rights: Rights, ask: AskToSignIn | None = None) -> None:
        self.app = app
        self.rights = rights
        self.ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing here speaks it, and nothing would look at keys
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["key"] = None
        right = needed(scope["method"], path_within(scope))
        if right is not OPEN:
            headers = dict(scope["headers"])
            try:
                self.rights.check(scope, headers, right, state)
            except (Unauthenticated, Forbidden) as error:
                asks = self.rights.keys.required and opens_a_page(scope)
                if self.ask is None or not asks:
                    raise
                state["reason"] = type(error).__name__  # for the metrics, as Problems does
                await self.ask(scope, error)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def checked(keys: HeldKeys, sent: bytes) -> Record:
    """The key that was sent; raises Unauthenticated unless it is known and holds."""
    key = keys.find(sent)
    if key is None:
        raise Unauthenticated(WRONG_KEY, wrong=True)
    if key.expires is not None or key.revoked is not None:
        ended = key.ended(datetime.now(UTC))
        if ended is not None:  # said only to who has the right secret
            raise Unauthenticated(f"the key '{key.name}' {ended}", wrong=True)
    return key


def sent_key(headers: Headers) -> tuple[bytes, bool]:
    """The key of a request, empty when it has none, and whether a cookie brought it."""
    sent = headers.get(b"x-api-key")
    if sent:
        return sent.strip(), False
    sent = headers.get(b"authorization")
    if sent and sent[:7].lower() == b"bearer ":
        return sent[7:].strip(), False
    sent = headers.get(b"ocp-apim-subscription-key")
    if sent:
        return sent.strip(), False
    return _cookie(headers), True


def cookie_name(host: bytes) -> bytes:
    """The name of the cookie that has the key: cookies know no ports, so the name does, and two
    services on one machine do not sign each other's people out."""
    port = host.rpartition(b":")[2]
    return COOKIE + b"_" + port if port.isdigit() else COOKIE


def _cookie(headers: Headers) -> bytes:
    cookies = headers.get(b"cookie")
    if not cookies:
        return b""
    name = cookie_name(headers.get(b"host", b"")) + b"="
    for one in cookies.split(b";"):
        cookie = one.strip()
        if cookie.startswith(name):
            return cookie[len(name) :]
    return b""


def check_same_site(method: str, headers: Headers) -> None:
    """Raises Forbidden for a request that changes something and that another site's page sent.

    Browsers say so in Sec-Fetch-Site; where they do not, over plain HTTP, Origin has to be the
    host that is asked (OWASP, Cross-Site Request Forgery Prevention). No other program sends
    either.
    """
    if method in SAFE:
        return
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        if site not in (b"same-origin", b"none"):
            raise Forbidden(ELSEWHERE)
        return
    origin = headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
        raise Forbidden(ELSEWHERE)


def path_within(scope: Scope) -> str:
    """The path as the router sees it, without what a proxy puts before it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/"):
        return path[len(root) :]
    return path


def opens_a_page(scope: Scope) -> bool:
    """Whether a person opens an address in a browser; scripts and clients ask for other types."""
    return scope["method"] in SAFE and b"text/html" in dict(scope["headers"]).get(b"accept", b"")


def _local(server: tuple[str, int | None] | None) -> bool:
    """Whether the address that was connected to is one of this machine alone; what is no address,
    as a socket file, is."""
    return server is None or loopback(server[0])


@lru_cache(maxsize=64)
def _named_locally(host: bytes) -> bool:
    """Whether a Host header names this machine in a way that no other site can: by an address or as
    localhost (RFC 6761, section 6.3). Where there is none, no browser asks."""
    name = host.decode("latin-1").lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=64)
def loopback(host: str) -> bool:
    """Whether `host` is no address that others reach."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return True
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
