"""What FastAPI is to read has come before FastAPI sees the request: whole, and not too long.

FastAPI itself reads bodies of any length into memory, and whatever goes wrong on the way, a client
that is too slow or has hung up, it answers as a body that cannot be parsed.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import SAFE, path_within
from serving.http.requests import read_body

BELOW = "/api/"
MOST_BYTES = 64 * 1024
"""The longest comment takes a fifth of it, however it is escaped."""


class WholeBodies:
    """ASGI layer that receives the body of what is asked to be changed below BELOW; raises
    BodyTooLarge and TooSlow."""

    def __init__(self, app: ASGIApp, limit: int = MOST_BYTES) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = scope["type"] == "http" and scope["method"] not in SAFE
        if changes and path_within(scope).startswith(BELOW):
            receive = _then(await read_body(scope, receive, self.limit), receive)
        await self.app(scope, receive, send)


def _then(body: bytes, receive: Receive) -> Receive:
    """The body in one message, and then whatever else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
