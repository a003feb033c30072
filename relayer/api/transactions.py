"""Lock, claim, refund and early refund of a swap as unsigned transactions, for any wallet.

On Ethereum a transaction is what `eth_sendTransaction` takes, on the consortium chain the bytes that an ed25519 key
signs. Whatever is built here is a proposal of the counterparty: a wallet shows it, and docs/dapps/api.md says what to
compare. A secret preimage is never asked for. Its place in a claim holds 32 zero bytes, `preimage_at` says where, and
the caller puts it in: the claim becomes the reveal in the caller's own hands.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from core.model.consortium import SIGN_PREFIX, Message, TransactionBody, address, raw_address, sign_bytes
from core.model.errors import ConflictError, GateClosedError, NotYetFinalError, RejectedError, require
from core.model.identifiers import parse_account
from core.model.ports import ConsentBuilder, HeadSource, LegBuilder, TransactionSender
from core.model.transactions import UnsignedTransaction
from core.model.types import PREIMAGE_BYTES, AccountId, ChainId, ChainTime, LockId, Preimage, chain_of
from core.runtime.clock import Clock
from htlc.model import Leg, LegStatus, Phase
from relayer.api import wire
from relayer.api.bodies import Act, EvmCallBody, LedgerTransactionBody, TransactionCall, WalletTransactionBody
from relayer.provider.desk import LegView, SwapView

EXPIRY_BLOCKS: Final = 600
"""Blocks of a consortium chain within which a transaction that is built now has to be included."""
_USUAL_LEG: Final[Mapping[Act, Leg]] = {
    "lock": Leg.INITIATOR,
    "claim": Leg.PARTICIPANT,
    "refund": Leg.INITIATOR,
    "early-refund": Leg.PARTICIPANT,
}


class BuildingChain(Protocol):
    """The part of a chain on which transactions are built. A `ChainAccess` has it."""

    @property
    def legs(self) -> LegBuilder: ...
    @property
    def heads(self) -> HeadSource: ...
    @property
    def transactions(self) -> TransactionSender: ...
    @property
    def consents(self) -> ConsentBuilder | None: ...


@dataclass(frozen=True, slots=True)
class _Built:
    """A transaction, the place of its lock, and the chain times between which it can succeed, in seconds."""

    transaction: UnsignedTransaction
    lock_id: LockId
    approves: bool = False
    valid_from: int | None = None
    valid_before: int | None = None
    marker: bytes | None = None


class WalletTransactions:
    """The transactions of one relayer's swaps, on its chains."""

    def __init__(self, chains: Mapping[ChainId, BuildingChain], clock: Clock) -> None:
        self._chains = chains
        self._clock = clock

    async def build(self, view: SwapView, call: TransactionCall) -> WalletTransactionBody:
        """Raise `RejectedError` for a sender, leg or key that does not fit, `ConflictError` and `GateClosedError` if
        the act cannot succeed any more or not as the swap stands, `NotYetFinalError` before its ground is final."""
        leg = call.leg or _USUAL_LEG[call.act]
        one = view.initiator if leg is Leg.INITIATOR else view.participant
        sender = _sender(call, one)
        match call.act:
            case "lock":
                built = await self._lock(view, one, sender)
            case "claim":
                built = await self._claim(view, one, sender)
            case "refund":
                built = self._refund(one, sender)
            case "early-refund":
                built = self._early_refund(view, one, sender)
        return await self._body(call, leg, sender, built)

    async def _lock(self, view: SwapView, one: LegView, sender: AccountId) -> _Built:
        if one.leg is Leg.PARTICIPANT and view.quote_id:
            raise RejectedError("the participant of this swap is the relayer, which locks by itself")
        if sender != one.terms.sender:
            raise RejectedError(f"only {one.terms.sender} can lock on this leg", sender=one.terms.sender)
        if view.phase is not Phase.AGREED or one.status is not LegStatus.ABSENT:
            raise ConflictError(f"the swap is {view.phase}: it has no lock to wait for")
        if self._clock.now() >= view.lock_deadline_s:
            raise GateClosedError("it is too late to lock: ask for a new quote", lock_deadline=view.lock_deadline_s)
        legs = self._chain(one.chain).legs
        place = await legs.lock_id(one.terms)
        before = await legs.prepare(one.terms)
        lock = legs.lock(one.terms, place)
        return _Built(before or lock, place, before is not None, valid_before=view.lock_deadline_s)

    async def _claim(self, view: SwapView, one: LegView, sender: AccountId) -> _Built:
        place = _open_lock(one)
        if one.lock is None or not one.lock.final:
            raise NotYetFinalError("the lock is not final yet: a claim before could reveal the preimage for nothing")
        timelock = one.terms.timelock
        head = (await self._chain(one.chain).heads.head()).head
        if head.time >= timelock:
            raise GateClosedError("the timelock is reached: a claim is refused from then on", timelock=timelock.seconds)
        public = view.preimage
        marker = None if public is not None else secrets.token_bytes(PREIMAGE_BYTES)
        opening = Preimage(public if public is not None else marker or b"")
        transaction = self._chain(one.chain).legs.claim(one.terms, place, opening, sender)
        return _Built(transaction, place, valid_before=timelock.seconds, marker=marker)

    def _refund(self, one: LegView, sender: AccountId) -> _Built:
        place = _open_lock(one)
        transaction = self._chain(one.chain).legs.refund(one.terms, place, sender)
        return _Built(transaction, place, valid_from=one.terms.timelock.seconds)

    def _early_refund(self, view: SwapView, one: LegView, sender: AccountId) -> _Built:
        place = _open_lock(one)
        consents = self._chain(one.chain).consents
        if consents is None:
            raise RejectedError(f"{one.chain} has no refund before the timelock: wait for the timelock")
        if sender != one.terms.receiver:
            raise RejectedError(
                f"before the timelock only {one.terms.receiver} gives this lock back; to have the relayer give back "
                "yours, ask for early-refund of the swap",
                receiver=one.terms.receiver,
            )
        if view.preimage is not None:
            raise ConflictError("the preimage is public: claim, whoever gives back now may lose both legs")
        until = one.terms.timelock.seconds
        draft = consents.refund(one.terms, place, ChainTime(one.chain, until))
        return _Built(draft.complete(b"", sender), place, valid_before=until)

    def _chain(self, chain: ChainId) -> BuildingChain:
        """Raise `ConflictError` for a chain of an old swap that is not in the configuration any more."""
        found = self._chains.get(chain)
        if found is None:
            raise ConflictError(f"{chain} is not followed here any more: build the transaction with another client")
        return found

    async def _body(self, call: TransactionCall, leg: Leg, sender: AccountId, built: _Built) -> WalletTransactionBody:
        transaction = built.transaction
        body = WalletTransactionBody(
            act="approve" if built.approves else call.act,
            leg=leg,
            chain=transaction.chain,
            sender=sender,
            lock_id=built.lock_id,
            summary=transaction.summary,
            valid_from=built.valid_from,
            valid_before=built.valid_before,
            preimage_at=None,
            evm=None,
            ledger=None,
            other=None,
        )
        match transaction.chain.partition(":")[0]:
            case "eip155":
                evm = msgspec.json.decode(transaction.body, type=EvmCallBody)
                at, data = _without_marker(bytes.fromhex(evm.data[2:]), built.marker)
                evm = msgspec.structs.replace(evm, data=wire.hex_of(data))
                return msgspec.structs.replace(body, evm=evm, preimage_at=at)
            case "causeway":
                ledger, at = await self._ledger(transaction, call, built.marker)
                return msgspec.structs.replace(body, ledger=ledger, preimage_at=at)
            case _:
                at, raw = _without_marker(transaction.body, built.marker)
                return msgspec.structs.replace(body, other=wire.hex_of(raw), preimage_at=at)

    async def _ledger(
        self, transaction: UnsignedTransaction, call: TransactionCall, marker: bytes | None
    ) -> tuple[LedgerTransactionBody, int | None]:
        if call.public_key is None:
            raise RejectedError("a transaction of the consortium chain names its sender's key: give `public_key`")
        key = wire.bytes_from(call.public_key, 32, "public_key")
        if address(key) != raw_address(transaction.sender):
            raise RejectedError(f"this public key is not that of {transaction.sender}", field="public_key")
        chain = self._chain(transaction.chain)
        sequence = (await chain.transactions.sequences(transaction.sender)).latest
        head = (await chain.heads.head()).head
        body = TransactionBody(
            chain_id=transaction.chain.partition(":")[2],
            public_key=key,
            sequence=sequence,
            expiry_height=head.height + EXPIRY_BLOCKS,
            messages=msgspec.msgpack.decode(transaction.body, type=tuple[Message, ...]),
        )
        at, signed = _without_marker(sign_bytes(body), marker)
        found = LedgerTransactionBody(
            sequence=body.sequence,
            expiry_height=body.expiry_height,
            sign_bytes=wire.hex_of(signed),
            body=wire.hex_of(signed.removeprefix(SIGN_PREFIX)),
        )
        return found, at


def _sender(call: TransactionCall, one: LegView) -> AccountId:
    """Who sends it: the account that is named, or the one whose act it usually is."""
    if call.sender is None:
        return one.terms.receiver if call.act in ("claim", "early-refund") else one.terms.sender
    sender = parse_account(call.sender)
    if chain_of(sender) != one.chain:
        raise RejectedError(f"{sender} is not an account on {one.chain}, where this leg is", field="sender")
    return sender


def _open_lock(one: LegView) -> LockId:
    if one.status is not LegStatus.LOCKED or one.lock_id is None:
        raise ConflictError(f"the {one.leg}'s lock is {one.status}: an open lock was not seen")
    return one.lock_id


def _without_marker(raw: bytes, marker: bytes | None) -> tuple[int | None, bytes]:
    """The place of the marker, and the bytes with zeros in it; None and the bytes if there is no marker."""
    if marker is None:
        return None, raw
    require(raw.count(marker) == 1, "a claim has its preimage in one place")
    return raw.index(marker), raw.replace(marker, bytes(len(marker)))
