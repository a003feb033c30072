"""A policy in front of a key: what it signs is looked at as the bytes that are signed, and refused if it is not ours.

A fault of ours, or of whoever can write to our database, then moves nothing to strangers: a key signs calls of the
HTLC, allowances for it, payments to the operator's destinations and cancellations, on its own chain, within limits.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from core.model.errors import RejectedError
from core.model.ports import ConsentSigner, Signer
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId, AssetId


@dataclass(frozen=True, slots=True)
class SigningLimits:
    """The limits of one account.

    `destinations`: who may be paid by plain transfers, None for anybody. `most`: base units of an asset that one
    transaction may take. `max_fee`: base units per unit of gas, None for no bound.
    """

    account: AccountId
    destinations: Collection[AccountId] | None = None
    most: Mapping[AssetId, int] = field(default_factory=dict)
    max_fee: int | None = None

    def check_receiver(self, receiver: AccountId) -> None:
        """Raise `RejectedError` for an account that plain transfers may not pay."""
        if receiver != self.account and self.destinations is not None and receiver not in self.destinations:
            raise RejectedError(f"the signing policy pays no transfer to {receiver}: it is not a destination")

    def check_taken(self, taken: Mapping[AssetId, int]) -> None:
        """Raise `RejectedError` for more than one transaction may take."""
        for asset, amount in taken.items():
            if amount > self.most.get(asset, amount):
                raise RejectedError(f"the signing policy lets one transaction take {self.most[asset]} of {asset}")


class SigningRules(Protocol):
    """One chain's judgement. Both raise `RejectedError` for bytes that must not be signed."""

    def check(self, request: SigningRequest) -> None: ...

    def check_consent(self, asked: Consent) -> None: ...


class GuardedSigner:
    """`Signer` behind rules. Has no `repr` of a key."""

    def __init__(self, inner: Signer, rules: SigningRules) -> None:
        self._inner = inner
        self._rules = rules

    @property
    def account(self) -> AccountId:
        return self._inner.account

    async def sign(self, request: SigningRequest) -> bytes:
        """Raise `RejectedError` for what the rules refuse, and what the signer raises."""
        self._rules.check(request)
        return await self._inner.sign(request)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.account})"


class GuardedConsentSigner(GuardedSigner):
    """`Signer` and `ConsentSigner` behind rules."""

    def __init__(self, inner: Signer, consents: ConsentSigner, rules: SigningRules) -> None:
        super().__init__(inner, rules)
        self._consents = consents

    async def consent(self, asked: Consent) -> bytes:
        """Raise `RejectedError` for what the rules refuse, and what the signer raises."""
        self._rules.check_consent(asked)
        return await self._consents.consent(asked)


def guarded(signer: Signer, rules: SigningRules) -> GuardedSigner:
    """Return the signer behind these rules, with consents only if it gives them: who asks for one that is not given
    has to do without."""
    if isinstance(signer, ConsentSigner):
        return GuardedConsentSigner(signer, signer, rules)
    return GuardedSigner(signer, rules)
