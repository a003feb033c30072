"""The accounts that this process acts with: on each chain one that begins swaps, and others that end what they began.

A swap is settled with the accounts that its agreement names. Each account has its own sequences, purse and allowances:
see `relayer.transactions`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.model.errors import RetryableError
from core.model.ports import BatchBuilder, ChainParameters, ConsentBuilder, LegBuilder, LockReader, TransactionSender
from core.model.types import AccountId, ChainId, chain_of
from htlc.model import Agreement
from relayer.pump.allowances import Allowances
from relayer.transactions.pipeline import Pipeline


class ActedOnChain(Protocol):
    """The part of a chain on which swaps are settled. A `ChainAccess` has it."""

    @property
    def parameters(self) -> ChainParameters: ...
    @property
    def legs(self) -> LegBuilder: ...
    @property
    def locks(self) -> LockReader: ...
    @property
    def transactions(self) -> TransactionSender: ...
    @property
    def batches(self) -> BatchBuilder | None: ...
    @property
    def consents(self) -> ConsentBuilder | None: ...


@dataclass(frozen=True, slots=True)
class ActingChain:
    """The ports by which the executor acts on one chain with one account."""

    access: ActedOnChain
    pipeline: Pipeline
    allowances: Allowances

    @property
    def account(self) -> AccountId:
        return self.pipeline.account


class Hands:
    """`present` begin swaps, one on each chain; `retiring` are further accounts on these chains."""

    def __init__(self, present: Mapping[ChainId, ActingChain], retiring: Sequence[ActingChain] = ()) -> None:
        self._present = present
        self._by_account = {one.account: one for one in (*present.values(), *retiring)}

    def __iter__(self) -> Iterator[ActingChain]:
        return iter(self._by_account.values())

    def present(self, chain: ChainId) -> ActingChain:
        """Return the account that begins swaps there. Raise `RetryableError` if there is none."""
        if chain not in self._present:
            raise RetryableError(f"{chain} is not configured here: configure it, its swap is waiting")
        return self._present[chain]

    def chain(self, chain: ChainId) -> ActingChain | None:
        """As `present`, or None."""
        return self._present.get(chain)

    def of(self, agreement: Agreement, chain: ChainId) -> ActingChain:
        """Return the account that the swap names on this chain; the one that begins swaps if it names none, or one that
        is not here any more: that one can send its claims and refunds, as anybody can. Raise as `present`."""
        named = (account for account in agreement.own_accounts if chain_of(account) == chain)
        return self.by_account(next(named, None)) or self.present(chain)

    def by_account(self, account: AccountId | None) -> ActingChain | None:
        """Return this account of ours, None for any other."""
        return None if account is None else self._by_account.get(account)
