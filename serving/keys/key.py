"""What a key is: `kz_ID_SECRET`, shown once to the one who asked for it, kept as a salted hash."""

import secrets
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Scope = Literal["score", "operate", "admin"]
RANK: dict[str, int] = {"score": 1, "operate": 2, "admin": 3}
"""Each scope includes those of a lower rank: who may administer may operate, and who may operate
may score."""

MARK = "kz"
"""Begins every key, so that people and scanners for leaked secrets know one when they see it."""
ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""None that is mistaken for another."""
ID_LENGTH = 8
SECRET_BYTES = 32
SALT_BYTES = 16
LONGEST_SECRET = 128
"""More characters are not hashed: the work for a wrong key has a bound."""

Time = Annotated[datetime, Meta(tz=True)]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key as the file keeps it: nothing here opens anything.

    `limit` is in requests a minute; `revoked` says when, and the entry stays as a memory of it.
    """

    id: Annotated[str, Meta(pattern="^[a-z0-9]{1,32}$")]
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: Annotated[list[Scope], Meta(min_length=1)]
    salt: Annotated[bytes, Meta(min_length=SALT_BYTES)]
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]
    created: Time
    expires: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    revoked: Time | None = None

    @property
    def rank(self) -> int:
        """That of the highest scope."""
        return max(map(RANK.__getitem__, self.scopes))

    def ended(self, now: datetime) -> str | None:
        """Why the key no longer holds, None while it does."""
        if self.revoked is not None:
            return f"was revoked on {self.revoked:%Y-%m-%d}"
        if self.expires is not None and self.expires <= now:
            return f"expired on {self.expires:%Y-%m-%d}"
        return None


def digest(salt: bytes, secret: bytes) -> bytes:
    """What is kept of a secret.

    One round of SHA-256 is right here. Slow hashes (bcrypt, Argon2) make guessing expensive where
    people chose the secret. This one is 256 random bits: whoever holds the file would need 2^255
    guesses, at any speed. A slow hash would only make every request slow. The salt keeps two files
    from being compared.
    """
    return sha256(salt + secret[:LONGEST_SECRET]).digest()


def make_key(
    name: str,
    scopes: list[Scope],
    *,
    expires: datetime | None = None,
    limit: int | None = None,
) -> tuple[Record, str]:
    """A new key: what is kept of it, and the key itself, which nothing can show again."""
    key_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
    secret, salt = secrets.token_urlsafe(SECRET_BYTES), secrets.token_bytes(SALT_BYTES)
    record = Record(
        id=key_id,
        name=name,
        scopes=sorted(set(scopes), key=RANK.__getitem__),
        salt=salt,
        digest=digest(salt, secret.encode()),
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
        limit=limit,
    )
    return record, f"{MARK}_{key_id}_{secret}"


def split_key(sent: bytes) -> tuple[bytes, bytes]:
    """Id and secret of what was sent; both empty when it is no key at all."""
    parts = sent.split(b"_", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == MARK.encode() else (b"", b"")
