"""The memory chain's rules: what each message does to the state, judged by the time of its block."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from adapters.memory.state import Overlay
from adapters.memory.transactions import (
    Allow,
    Attest,
    Batch,
    Claim,
    GiveBack,
    Lock,
    Message,
    Nothing,
    Refund,
    Transfer,
    WriteRecord,
    lock_owner,
)
from core.model.consortium import value_of
from core.model.errors import RejectedError
from core.model.facts import (
    ChainEvent,
    Claimed,
    HeaderAttested,
    Locked,
    LockStatus,
    RecordView,
    RecordWritten,
    Refunded,
    Transferred,
)
from core.model.identifiers import parse_account, parse_asset
from core.model.transactions import LeftOut
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    PublicPreimage,
    chain_of,
    opens,
)


class Refused(Exception):
    """The chain refuses the message; the text is its own word for why."""


@dataclass(frozen=True, slots=True)
class LockRow:
    """The newest lock of an id, and how it ended."""

    terms: LockTerms
    status: LockStatus


@dataclass(slots=True)
class Tokens:
    """Powers of the tokens' issuers and holders, as switches that hold until they are thrown back.

    `paused`: assets that nobody can move. `refused`: accounts that an asset's payments do not reach, since a blacklist
    names them or they refuse what they are sent. `taking_fees`: assets of which every payment loses a hundredth on its
    way; the HTLC refuses to lock what did not reach it whole.
    """

    paused: set[AssetId] = field(default_factory=set)
    refused: set[tuple[AssetId, AccountId]] = field(default_factory=set)
    taking_fees: set[AssetId] = field(default_factory=set)

    def arriving(self, asset: AssetId, amount: int) -> int:
        """Return what is left of a payment when it arrives."""
        return amount - amount // 100 if asset in self.taking_fees else amount

    def refusal(self, asset: AssetId, *accounts: AccountId) -> str | None:
        """Why the asset cannot move between these accounts, None if it can."""
        if asset in self.paused:
            return "the token is paused"
        if any((asset, account) in self.refused for account in accounts):
            return "the receiver is refused"
        return None


@dataclass(frozen=True, slots=True)
class Allowances:
    """`needed`: assets of which a lock takes no more than its sender has allowed before. `stepwise`: of these, the ones
    whose allowance has to be zero before it is raised, and is used up by what it lets through; others may be without
    end."""

    needed: frozenset[AssetId] = frozenset()
    stepwise: frozenset[AssetId] = frozenset()


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules apart from the state. `attestors` maps an operator to its voting power. `ids_repeat`: the
    id of a settled lock may be used again, as an EVM lane's are once its generations have gone round."""

    chain: ChainId
    attestors: Mapping[AccountId, int]
    tokens: Tokens = field(default_factory=Tokens)
    ids_repeat: bool = False
    allowances: Allowances = field(default_factory=Allowances)

    def check_movable(self, asset: AssetId, account: AccountId) -> None:
        """Raise `Refused` while the asset does not move to or from the account."""
        if (reason := self.tokens.refusal(asset, account)) is not None:
            raise Refused(reason)


def balance_key(account: AccountId, asset: AssetId) -> tuple[str, str, str]:
    return ("balance", account, asset)


def sequence_key(account: AccountId) -> tuple[str, str]:
    return ("sequence", account)


def allowance_key(account: AccountId, asset: AssetId) -> tuple[str, str, str]:
    return ("allowance", account, asset)


def lock_key(lock_id: LockId) -> tuple[str, str]:
    return ("lock", lock_id)


def record_key(namespace: str, key: str) -> tuple[str, str, str]:
    return ("record", namespace, key)


def attested_key(chain: ChainId) -> tuple[str, str]:
    return ("attested", chain)


def apply(
    rules: Rulebook, state: Overlay, sender: AccountId, message: Message, time: ChainTime
) -> tuple[ChainEvent, ...]:
    """Apply one message and say what happened. Raise `Refused`, after which `state` must be thrown away."""
    try:
        match message:
            case Lock():
                return (_lock(rules, state, sender, message, time),)
            case Claim():
                return (_paid(rules, state, message, _claim(state, message, time)),)
            case Refund():
                return (_paid(rules, state, message, _refund(state, message, time)),)
            case GiveBack():
                return (_paid(rules, state, message, _give_back(state, sender, message)),)
            case Allow():
                return _allow(rules, state, sender, message)
            case Transfer():
                return (_transfer(rules, state, sender, message),)
            case WriteRecord():
                return (_write_record(state, sender, message),)
            case Attest():
                return _attest(rules, state, sender, message)
            case Batch():
                return apply_each(rules, state, sender, message, time)[0]
            case Nothing():
                return ()
            case _:
                assert_never(message)
    except RejectedError as error:
        raise Refused(error.message) from None


def apply_each(
    rules: Rulebook, state: Overlay, sender: AccountId, batch: Batch, time: ChainTime
) -> tuple[tuple[ChainEvent, ...], tuple[LeftOut, ...]]:
    """Apply what can be applied of a batch; says what happened, and what was left out. Raise `Refused` for one whose
    items are to hold together."""
    events: list[ChainEvent] = []
    left_out: list[LeftOut] = []
    for index, item in enumerate(batch.items):
        alone = Overlay(state)
        try:
            events += apply(rules, alone, sender, item, time)
        except Refused as refused:
            if not batch.each:
                raise
            left_out.append(LeftOut(index, str(refused)))
        else:
            state.changes.update(alone.changes)
    return tuple(events), tuple(left_out)


def moved(message: Message, asset: AssetId) -> int:
    """How much of `asset` the message takes from its sender, if all of it can be applied."""
    if isinstance(message, Batch):
        return sum(moved(item, asset) for item in message.items)
    if isinstance(message, Lock | Transfer) and message.asset == asset:
        return value_of(message.amount)
    return 0


def credit(state: Overlay, account: AccountId, asset: AssetId, amount: int) -> None:
    key = balance_key(account, asset)
    state.put(key, state.get(key, 0) + amount)


def debit(state: Overlay, account: AccountId, asset: AssetId, amount: int) -> None:
    """Raise `Refused` when the account holds less."""
    key = balance_key(account, asset)
    held = state.get(key, 0)
    if held < amount:
        raise Refused(f"insufficient balance: {held} of {amount}")
    state.put(key, held - amount)


def _lock(rules: Rulebook, state: Overlay, sender: AccountId, message: Lock, time: ChainTime) -> ChainEvent:
    name = LockId(message.lock_id)
    terms = LockTerms(
        asset=parse_asset(message.asset),
        amount=BaseUnits(value_of(message.amount)),
        sender=sender,
        receiver=parse_account(message.receiver),
        hashlock=Hashlock(message.hashlock),
        timelock=ChainTime(rules.chain, message.timelock),
    )
    if lock_owner(rules.chain, name) != sender:
        raise Refused("the lock id belongs to another account")
    former: LockRow | None = state.get(lock_key(name), None)
    if former is not None and not (rules.ids_repeat and former.status is not LockStatus.LOCKED):
        raise Refused("the lock id is used up")
    if terms.timelock <= time:
        raise Refused("the timelock has passed")
    rules.check_movable(terms.asset, sender)
    if rules.tokens.arriving(terms.asset, terms.amount) != terms.amount:
        raise Refused("the token moved another amount than was asked for")
    _use_allowance(rules, state, sender, terms)
    debit(state, sender, terms.asset, terms.amount)
    state.put(lock_key(name), LockRow(terms, LockStatus.LOCKED))
    return Locked(name, terms)


def _use_allowance(rules: Rulebook, state: Overlay, sender: AccountId, terms: LockTerms) -> None:
    if terms.asset not in rules.allowances.needed:
        return
    key = allowance_key(sender, terms.asset)
    allowed = state.get(key, 0)
    if allowed < terms.amount:
        raise Refused(f"insufficient allowance: {allowed} of {terms.amount}")
    if terms.asset in rules.allowances.stepwise:
        state.put(key, allowed - terms.amount)


def _allow(rules: Rulebook, state: Overlay, sender: AccountId, message: Allow) -> tuple[ChainEvent, ...]:
    asset, amount = parse_asset(message.asset), value_of(message.amount)
    key = allowance_key(sender, asset)
    if asset in rules.allowances.stepwise and amount and state.get(key, 0):
        raise Refused("the allowance has to be zero before it is raised")
    state.put(key, amount)
    return ()


def _open_lock(state: Overlay, name: LockId) -> LockRow:
    row: LockRow | None = state.get(lock_key(name), None)
    if row is None:
        raise Refused("no such lock")
    if row.status is not LockStatus.LOCKED:
        raise Refused(f"the lock is {row.status}")
    return row


def _paid(rules: Rulebook, state: Overlay, message: Claim | Refund | GiveBack, event: ChainEvent) -> ChainEvent:
    """The event of an exit, unless its payment does not reach the payee: then the whole exit is refused."""
    row: LockRow | None = state.get(lock_key(LockId(message.lock_id)), None)
    if row is not None:
        payee = row.terms.receiver if isinstance(message, Claim) else row.terms.sender
        rules.check_movable(row.terms.asset, payee)
        asset, amount = row.terms.asset, row.terms.amount
        debit(state, payee, asset, amount - rules.tokens.arriving(asset, amount))
    return event


def _claim(state: Overlay, message: Claim, time: ChainTime) -> ChainEvent:
    name = LockId(message.lock_id)
    row = _open_lock(state, name)
    if not opens(message.preimage, row.terms.hashlock):
        raise Refused("wrong preimage")
    if time >= row.terms.timelock:
        raise Refused("too late to claim")
    credit(state, row.terms.receiver, row.terms.asset, row.terms.amount)
    state.put(lock_key(name), replace(row, status=LockStatus.CLAIMED))
    return Claimed(name, row.terms.hashlock, PublicPreimage(message.preimage))


def _refund(state: Overlay, message: Refund, time: ChainTime) -> ChainEvent:
    name = LockId(message.lock_id)
    row = _open_lock(state, name)
    if time < row.terms.timelock:
        raise Refused("too early to refund")
    credit(state, row.terms.sender, row.terms.asset, row.terms.amount)
    state.put(lock_key(name), replace(row, status=LockStatus.REFUNDED))
    return Refunded(name, row.terms.hashlock)


def _give_back(state: Overlay, sender: AccountId, message: GiveBack) -> ChainEvent:
    name = LockId(message.lock_id)
    row = _open_lock(state, name)
    if row.terms.receiver != sender:
        raise Refused("nobody but the receiver gives a lock back before its timelock")
    credit(state, row.terms.sender, row.terms.asset, row.terms.amount)
    state.put(lock_key(name), replace(row, status=LockStatus.REFUNDED))
    return Refunded(name, row.terms.hashlock)


def _transfer(rules: Rulebook, state: Overlay, sender: AccountId, message: Transfer) -> ChainEvent:
    asset, receiver = parse_asset(message.asset), parse_account(message.receiver)
    if {chain_of(asset), chain_of(receiver)} != {rules.chain}:
        raise Refused("another chain's asset or account")
    amount = BaseUnits(value_of(message.amount))
    rules.check_movable(asset, sender)
    rules.check_movable(asset, receiver)
    debit(state, sender, asset, amount)
    credit(state, receiver, asset, rules.tokens.arriving(asset, amount))
    return Transferred(asset, sender, receiver, amount)


def _write_record(state: Overlay, sender: AccountId, message: WriteRecord) -> ChainEvent:
    key = record_key(message.namespace, message.key)
    newest: RecordView | None = state.get(key, None)
    if newest is not None and newest.author != sender:
        raise Refused("the record belongs to another account")
    version = 1 if newest is None else newest.version + 1
    state.put(key, RecordView(message.namespace, message.key, version, sender, message.document))
    digest = hashlib.sha256(message.document).digest()
    return RecordWritten(message.namespace, message.key, version, sender, digest)


def _attest(rules: Rulebook, state: Overlay, sender: AccountId, message: Attest) -> tuple[ChainEvent, ...]:
    if sender not in rules.attestors:
        raise Refused("not an attestor")
    foreign = BlockRef(ChainId(message.chain), Height(message.height), message.block_hash)
    votes_key = ("votes", foreign.chain, foreign.height, foreign.hash)
    votes: frozenset[AccountId] = state.get(votes_key, frozenset())
    if sender in votes:
        raise Refused("this attestor has voted already")
    votes |= {sender}
    state.put(votes_key, votes)
    latest: BlockRef | None = state.get(attested_key(foreign.chain), None)
    power = sum(rules.attestors[voter] for voter in votes)
    before = power - rules.attestors[sender]
    needed = 2 * sum(rules.attestors.values())
    if not 3 * before <= needed < 3 * power:
        return ()
    if latest is None or foreign.height > latest.height:
        state.put(attested_key(foreign.chain), foreign)
    return (HeaderAttested(foreign),)
