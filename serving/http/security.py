"""What browsers are told of the pages, so that nothing on them can be turned against people.

No inline script and nothing from elsewhere: a sensor's name can never become code. The pages of
API documentation have one inline script that FastAPI writes, and are let run exactly that one.
"""

import base64
import re
from hashlib import sha256

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
DOCS_POLICY = (
    # Swagger UI and ReDoc style their elements one by one, draw icons from data, and ReDoc searches
    # in a worker of its own making.
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
DOCS = ("/docs", "/redoc")
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGES = {
    **EVERYWHERE,
    "Content-Security-Policy": PAGE_POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)

CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CORS_SENT = (
    "Authorization",
    "Content-Type",
    "Inference-Header-Content-Length",
    "Ocp-Apim-Subscription-Key",
    "X-API-Key",
    "X-Request-ID",
)
CORS_SHOWN = (
    "Inference-Header-Content-Length",
    "Retry-After",
    "WWW-Authenticate",
    "X-Model-Name",
    "X-Model-Version",
    "X-Request-ID",
    "X-Threshold-Override",
)


class SecurityHeaders:
    """ASGI layer around everything but POST /anomaly, whose answers are JSON and no page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held: Message | None = None

        async def send_on(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                page = headers.get("content-type", "").startswith("text/html")
                for name, value in (PAGES if page else EVERYWHERE).items():
                    headers.setdefault(name, value)
                message["headers"] = headers.raw
                if page and scope["path"].endswith(DOCS):
                    held = message  # its policy names its script, which is in the body
                    return
            elif held is not None:
                headers = MutableHeaders(raw=held["headers"])
                headers["Content-Security-Policy"] = docs_policy(message.get("body", b""))
                start, held = held, None
                await send(start)
            await send(message)

        await self.app(scope, receive, send_on)


def docs_policy(page: bytes) -> str:
    """The policy for a page of documentation, which FastAPI writes and no request has a part in."""
    digests = (sha256(script).digest() for script in INLINE_SCRIPT.findall(page))
    hashes = (f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return DOCS_POLICY.format(hashes=" ".join(hashes)).replace(" ;", ";")
