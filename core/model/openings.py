"""Statements that an account signs next to its transactions: that the opening of a swap is its own, which is the ground
on which a relayer reserves its inventory, and that whoever asks holds the account."""

from dataclasses import dataclass
from typing import Final

from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Hashlock, chain_of

MAX_PROOF_BYTES: Final = 1_024
"""A key's signature has 65 bytes or, with its public key, 96; wallets that are contracts take one for each owner."""


@dataclass(frozen=True, slots=True)
class _OfAccount:
    """A statement's account, which signs it."""

    account: AccountId

    @property
    def chain(self) -> ChainId:
        """The chain of the account, by whose rules it signs."""
        return chain_of(self.account)


@dataclass(frozen=True, slots=True)
class Opening(_OfAccount):
    """One swap that `account` asks a relayer to open: the quote, the hashlock, and what is exchanged.

    `relayer` is the relayer's ed25519 quote key, 32 bytes. `account` gives `given_amount` (base units) of `given_asset`
    to `given_to`, all on one chain, for `wanted_amount` of `wanted_asset` to `wanted_to` on another. `expires_at` is
    the quote's, in Unix seconds.
    """

    relayer: bytes
    quote_id: str
    hashlock: Hashlock
    given_asset: AssetId
    given_amount: BaseUnits
    given_to: AccountId
    wanted_asset: AssetId
    wanted_amount: BaseUnits
    wanted_to: AccountId
    expires_at: int

    @property
    def summary(self) -> str:
        """A sentence for people."""
        return (
            f"Open a swap of {self.given_amount} of {self.given_asset} for {self.wanted_amount} of "
            f"{self.wanted_asset}, and have the relayer keep its part ready; this moves nothing"
        )


@dataclass(frozen=True, slots=True)
class Access(_OfAccount):
    """Whoever asks a relayer holds `account`: its signature over a challenge that the relayer made, 32 bytes.

    `relayer` is the relayer's ed25519 quote key, 32 bytes; `expires_at` is in Unix seconds.
    """

    relayer: bytes
    challenge: bytes
    expires_at: int

    @property
    def summary(self) -> str:
        """A sentence for people."""
        return f"Show a relayer that you hold {self.account}; this moves nothing"


Statement = Opening | Access
"""Both have an account, its chain and a summary; no two kinds have the same bytes to sign."""
