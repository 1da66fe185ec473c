"""A webhook that its receiver can trust: `signed://HOST/PATH?secret_env=NAME`.

Signed as the Standard Webhooks specification says (standardwebhooks.com, version 1.0.0):
HMAC-SHA256 over `id.timestamp.body`. Receivers find libraries for it in most languages.
"""

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import os
import time
from typing import Any

from apprise import NotifyBase

from serving.notify.message import Message

SECONDS = 10.0
PREFIX = "whsec_"


class SignedWebhook(NotifyBase):  # type: ignore[misc]
    """POSTs the document of each message, over HTTP (`signed`) or HTTPS (`signeds`)."""

    service_name = "signed webhook"
    protocol = "signed"
    secure_protocol = "signeds"
    setup_url = "docs/notifications.md"
    templates = ("{schema}://{host}", "{schema}://{host}:{port}")

    def __init__(self, secret_env: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.secret_env = secret_env
        self.path = kwargs.get("fullpath") or "/"
        secret = os.environ.get(secret_env, "")
        if not secret_env or not secret:
            told = "?secret_env= names the environment variable that has the secret"
            self.logger.warning("a signed webhook has no secret: %s", told)
            raise TypeError(told)  # how Apprise's services refuse
        self._secret = secret_bytes(secret)

    def deliver(self, message: Message) -> None:
        """POST it; raises OSError or http.client.HTTPException, also for an answer but 2xx."""
        body = json.dumps(message.document, ensure_ascii=False).encode()
        moment = str(int(time.time()))
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=SECONDS)
        try:
            connection.request(
                "POST",
                self.path,
                body,
                {
                    "Content-Type": "application/json",
                    "Idempotency-Key": message.key,
                    "webhook-id": message.key,
                    "webhook-timestamp": moment,
                    "webhook-signature": signature(self._secret, message.key, moment, body),
                },
            )
            status = connection.getresponse().status
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise OSError(f"the receiver answered {status}")

    def open(self) -> None:
        """Each document comes by a connection of its own."""

    def close(self) -> None:
        """Nothing stays open."""

    def send(self, body: str, title: str = "", **_others: Any) -> bool:
        """What Apprise's own test would call: only documents are sent here."""
        return False

    def url(self, privacy: bool = False, *args: Any, **kwargs: Any) -> str:
        """The address; the secret is not in it."""
        schema = self.secure_protocol if self.secure else self.protocol
        port = "" if self.port is None else f":{self.port}"
        return f"{schema}://{self.host}{port}{self.path}?secret_env={self.secret_env}"

    @property
    def url_identifier(self) -> tuple[str, ...]:
        return (self.url(),)

    @staticmethod
    def parse_url(url: str, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The parts of an address in the configuration."""
        found: dict[str, Any] | None = NotifyBase.parse_url(url, *args, **kwargs)
        if found:
            found["secret_env"] = found["qsd"].get("secret_env", "")
        return found


def signature(secret: bytes, key: str, moment: str, body: bytes) -> str:
    """The header `webhook-signature`: version 1, base64."""
    signed = b".".join((key.encode(), moment.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def secret_bytes(secret: str) -> bytes:
    """The key of a secret: base64 after `whsec_`, as the specification writes it, else its text."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            return secret.encode()
    return secret.encode()
