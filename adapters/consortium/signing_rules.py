"""The policy of a ledger account's key: see `adapters.signing_rules`."""

import msgspec

from adapters.ed25519_openings import CONSENT_PREFIX
from adapters.signing_rules import SigningLimits
from core.model.consortium import (
    SIGN_PREFIX,
    AnswerQuery,
    AttestHeader,
    Claim,
    ExpireQuery,
    Lock,
    Refund,
    ReportEquivocation,
    TransactionBody,
    Transfer,
    caip_account,
    caip_asset,
    value_of,
)
from core.model.errors import RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AssetId, ChainId


class ConsortiumSigningRules:
    """`SigningRules` for one account: locks, claims, refunds, attestations and reports of double
    ones, answers, and transfers to destinations."""

    def __init__(self, chain: ChainId, limits: SigningLimits) -> None:
        self._chain = chain
        self._limits = limits

    def check(self, request: SigningRequest) -> None:
        """Raise `RejectedError` for a transaction of another chain, other messages, or beyond the limits."""
        body = self._body(request.payload)
        if body.chain_id != self._chain.partition(":")[2]:
            raise RejectedError(
                f"the signing policy is for {self._chain}, this transaction is for {body.chain_id[:64]}"
            )
        taken: dict[AssetId, int] = {}
        for message in body.messages:
            match message:
                case Claim() | Refund() | AttestHeader() | ReportEquivocation() | AnswerQuery() | ExpireQuery():
                    continue
                case Lock() | Transfer():
                    asset = caip_asset(self._chain, message.asset)
                    taken[asset] = taken.get(asset, 0) + value_of(message.amount)
                case _:
                    raise RejectedError(f"the signing policy signs no {type(message).__name__} of the ledger")
            if isinstance(message, Transfer):
                self._limits.check_receiver(caip_account(self._chain, message.receiver))
        self._limits.check_taken(taken)

    def _body(self, payload: bytes) -> TransactionBody:
        try:
            if payload.startswith(SIGN_PREFIX):
                return msgspec.msgpack.decode(payload[len(SIGN_PREFIX) :], type=TransactionBody)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        raise RejectedError("the signing policy cannot read this transaction: nothing is signed")

    def check_consent(self, asked: Consent) -> None:
        """Raise `RejectedError` for bytes that are not a consent's: they could be a transaction's."""
        if not asked.payload.startswith(CONSENT_PREFIX):
            raise RejectedError("the signing policy gives consents, and these bytes are none of them")
