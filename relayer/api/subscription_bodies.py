"""The bodies of subscriptions, shared by the API and the client."""

from typing import Annotated, Final

import msgspec

from core.model.uris import MAX_HEIGHT
from queries.together import MAX_TOGETHER
from relayer.api.query_bodies import NO_EVIDENCE, Uri
from relayer.notices.addresses import MAX_URL_CHARS

EVERY_S: Final = 1
MAX_EVERY_S: Final = 86_400
LASTS_S: Final = 86_400
MAX_LASTS_S: Final = 7 * 86_400


class SubscriptionCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Questions whose answers are pushed whenever they change, at most every `every_s` seconds, for `lasts_s`.

    `trusted_height` is that of your anchor: the evidence begins there; left out, at the relayer's own. `url`: a
    webhook, next to the streams.
    """

    questions: Annotated[tuple[Uri, ...], msgspec.Meta(min_length=1, max_length=MAX_TOGETHER)]
    trusted_height: Annotated[int, msgspec.Meta(ge=1, le=MAX_HEIGHT)] | None = None
    every_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_EVERY_S)] = EVERY_S
    lasts_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_LASTS_S)] = LASTS_S
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_URL_CHARS)] | None = None


class PushBody(msgspec.Struct, frozen=True, kw_only=True):
    """The newest answer to the question at `place`, counted from 0: evidence, or the reason why there is none now.

    `version` grows with each change of any answer; 0: there was none yet.
    """

    subscription: str
    place: int
    version: int
    uri: Uri
    evidence: msgspec.Raw = msgspec.field(default_factory=lambda: NO_EVIDENCE)
    problem: str | None = None
    detail: str | None = None

    @property
    def file(self) -> bytes | None:
        """The bytes of the evidence, None if there is none."""
        raw = bytes(self.evidence)
        return None if raw == bytes(NO_EVIDENCE) else raw


class SubscriptionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription and the newest answers. `reason` says why it has ended, null while it is open.

    `secret` signs what is posted to `url`; it is shown once, when the subscription is made.
    """

    id: str
    created_at: float
    until: int
    every_s: int
    url: str | None
    secret: str | None
    reason: str | None
    answers: list[PushBody]


class EndBody(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the last event: why there is no other."""

    id: str
    reason: str
