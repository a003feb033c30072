"""Signatures of webhooks by Standard Webhooks 1.0: who posts makes them, who receives verifies them.

webhook-id         the message's name; the same in every try
webhook-timestamp  Unix seconds of this try
webhook-signature  v1,<base64 of HMAC-SHA-256 over `id.timestamp.body` by the secret>
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from core.model.errors import RejectedError

SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"
WINDOW_S: Final = 300
"""A message whose time is further away from the receiver's clock is an old one, posted again."""
MAX_SIGNATURES: Final = 16


def parse_secret(text: str) -> bytes:
    """The bytes of a secret as Standard Webhooks writes them, `whsec_` and base64 of 24 to 64 bytes. Raise
    `RejectedError`."""
    try:
        raw = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(SECRET_PREFIX) or not 24 <= len(raw) <= 64:
        raise RejectedError("a webhook's secret is whsec_ and the base64 of 24 to 64 random bytes")
    return raw


def secret_text(secret: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The header's value by Standard Webhooks, "Signature scheme"."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def verify_webhook(
    secret: bytes, headers: Mapping[str, str], body: bytes, now_s: float, window_s: float = WINDOW_S
) -> str:
    """Return the id of a message that the holder of the secret posted within the last `window_s` seconds.

    Within the window the same id may come again, as every message is posted until it is taken: take each id once. Raise
    `RejectedError` for a message of somebody else, one that was changed, and an old one.
    """
    name, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not name or not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 15):
        raise RejectedError("the message has no webhook-id and webhook-timestamp")
    if abs(now_s - int(stamp)) > window_s:
        raise RejectedError(
            f"the message is of {stamp}, more than {window_s:g} s away: it is posted again, or clocks differ"
        )
    expected = signature(secret, name, int(stamp), body).encode()
    given = headers.get("webhook-signature", "").split(" ")[:MAX_SIGNATURES]
    if not any(hmac.compare_digest(expected, one.encode("utf-8", "replace")) for one in given):
        raise RejectedError("the message is not signed with this secret, or was changed")
    return name
