"""From bytes to results: one transaction, one block, one proposal.

A transaction passes the gates (form, chain, expiry, sequence, signature), then its messages are applied, all or none.
A failed gate changes nothing. A failed message leaves the used-up sequence and nothing else: a transaction that failed
in a block can never be played again by somebody else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from core.model.consortium import (
    CLOCK_KEY,
    MAX_CLOCK_MS,
    MAX_MESSAGES,
    AnswerQuery,
    Appoint,
    AskQuery,
    AttestHeader,
    Burn,
    Claim,
    CreateAsset,
    ExpireQuery,
    Issue,
    LedgerEvent,
    Lock,
    Refund,
    ReportEquivocation,
    ResultCode,
    SetAccess,
    Transaction,
    Transfer,
    WriteRecord,
    account_key,
    decode_clock,
)
from core.model.consortium_members import VALIDATORS_KEY, Admit, Propose, Vote
from core.model.consortium_orders import ApproveLift, ApproveOrder, PrepareLift, PrepareOrder
from core.model.errors import RejectedError
from local_chains.consortium.ledger import (
    admission,
    bank,
    bridge,
    equivocations,
    htlc,
    members,
    orders,
    queries,
    records,
)
from local_chains.consortium.ledger.accounts import Account
from local_chains.consortium.ledger.context import Context, Refusal, refuse
from local_chains.consortium.ledger.leaves import read_count, write_count
from local_chains.consortium.ledger.members import ValidatorUpdate
from local_chains.consortium.ledger.misbehaviour import Misbehaviour, record_misbehaviour
from local_chains.consortium.ledger.prices import (
    MAX_BLOCK_COST,
    MAX_BLOCK_ENTRIES,
    MAX_TRANSACTION_COST,
    Tariff,
    unread,
)
from local_chains.consortium.ledger.signatures import SignatureChecker, sender_of
from local_chains.consortium.ledger.view import Overlay, StateView, Writes, Written

MAX_CLOCK_DIFFERENCE_MS: Final = 10_000
"""How far a proposer's clock may be from a validator's own."""
MAX_SEQUENCE: Final = 2**63 - 1

_HANDLERS: Final[dict[type, Callable[[Context, Any], None]]] = {
    Issue: bank.issue,
    Transfer: bank.transfer,
    Burn: bank.burn,
    CreateAsset: bank.create_asset,
    Lock: htlc.lock,
    Claim: htlc.claim,
    Refund: htlc.refund,
    WriteRecord: records.write_record,
    SetAccess: records.set_access,
    AttestHeader: bridge.attest_header,
    Appoint: bridge.appoint,
    ReportEquivocation: equivocations.report,
    AskQuery: queries.ask,
    AnswerQuery: queries.answer,
    ExpireQuery: queries.expire,
    Propose: members.propose,
    Vote: members.vote,
    Admit: admission.admit,
    PrepareOrder: orders.prepare_order,
    ApproveOrder: orders.approve_order,
    PrepareLift: orders.prepare_lift,
    ApproveLift: orders.approve_lift,
}


class Result(msgspec.Struct, frozen=True, gc=False):
    """How one entry of a block ended; `log` is empty or begins with the code's word, `cost` is its price."""

    code: ResultCode
    log: str = ""
    events: tuple[LedgerEvent, ...] = ()
    cost: int = 0


@dataclass(frozen=True, slots=True)
class BlockResult:
    """A block's effect: a result per entry, the writes that turn the state before it into the one after it, the
    changes among the validators two heights later, and events of the block itself. `written` is `writes` with accounts
    decoded."""

    results: tuple[Result, ...]
    writes: Writes
    written: Mapping[bytes, Written]
    validator_updates: tuple[ValidatorUpdate, ...] = ()
    events: tuple[LedgerEvent, ...] = ()


Priced: TypeAlias = tuple[Transaction, int]
"""A decoded transaction and its price."""
OK: Final = Result(ResultCode.OK)
NO_ROOM: Final = Result(ResultCode.NO_ROOM)
"""The result of an entry that was not looked at. There may be millions, so it has no log."""


def execute_block(
    state: StateView,
    chain_id: str,
    height: int,
    entries: Sequence[bytes],
    signatures: SignatureChecker,
    misbehaviour: Sequence[Misbehaviour] = (),
) -> BlockResult:
    """Write down the misbehaviour that a block reports, then apply its entries in order. `state` is not changed. Never
    raises for any bytes in `entries`.

    Ledger time is the clock in the first entry; a block without a valid one is judged by the time before it. Entries
    beyond `MAX_BLOCK_ENTRIES`, or beyond `MAX_BLOCK_COST` by the prices of `state`, have no effect: no honest validator
    votes for a block with such entries, and the work that any block causes stays bounded all the same.
    """
    block = Overlay(state)
    tariff = Tariff(state)
    left = MAX_BLOCK_COST
    events = record_misbehaviour(block, misbehaviour)
    results = []
    for index, raw in enumerate(entries[:MAX_BLOCK_ENTRIES]):
        if index == 0:
            results.append(_apply_clock(block, raw))
            time_ms = ledger_time_ms(block)
        elif unread(raw) > left:
            results.append(NO_ROOM)
        else:
            result = apply_transaction(block, chain_id, height, time_ms, raw, signatures, tariff, left)
            left -= result.cost
            results.append(result)
    results += [NO_ROOM] * (len(entries) - len(results))
    updates = members.validator_updates(state, block) if VALIDATORS_KEY in block.written else ()
    return BlockResult(tuple(results), block.writes, block.written, updates, events)


def apply_transaction(
    state: Overlay,
    chain_id: str,
    height: int,
    time_ms: int,
    raw: bytes,
    signatures: SignatureChecker,
    tariff: Tariff,
    left: int = MAX_BLOCK_COST,
    priced: Priced | None = None,
) -> Result:
    """Apply one transaction to `state` as part of block `height` at ledger time `time_ms`.

    `tariff` has the prices, `left` is what the block has left of its cost; `priced` spares whoever has decoded these
    bytes doing it twice. `state.take_back()` undoes it until the next transaction.
    """
    state.begin()
    cost = None
    try:
        if priced is None:
            transaction = _decoded(raw, signatures)
            price = tariff.of(raw, transaction)
        else:
            transaction, price = priced
            _require_messages(transaction)
        if price > left:
            no_room = f"{ResultCode.NO_ROOM.word}: the block has {left} left, not {price}"
            return Result(ResultCode.NO_ROOM, no_room, (), unread(raw))
        cost = price
        key, account = _pass_gates(state, chain_id, height, raw, transaction, price, signatures)
    except Refusal as refusal:
        return Result(refusal.result, refusal.message, (), unread(raw) if cost is None else cost)
    state.put_account(key, Account(account.sequence + 1, account.balances))
    before_messages = state.mark
    context = Context(state, sender_of(transaction.body.public_key), height, time_ms, [], chain_id)
    try:
        for message in transaction.body.messages:
            _HANDLERS[type(message)](context, message)
    except Refusal as refusal:
        state.take_back(before_messages)
        return Result(refusal.result, refusal.message, (), cost)
    return Result(ResultCode.OK, "", tuple(context.events), cost)


def check_transaction(
    state: Overlay,
    chain_id: str,
    height: int,
    time_ms: int,
    raw: bytes,
    signatures: SignatureChecker,
    tariff: Tariff | None = None,
    priced: Priced | None = None,
) -> Result:
    """Return a transaction's result in block `height`; `state`, the mempool's own, changes only if it would.

    `tariff` has the prices of the newest block's state, by default those of `state`; `priced` is by the same.
    """
    tariff = tariff or Tariff(state)
    try:
        result = apply_transaction(state, chain_id, height, time_ms, raw, signatures, tariff, MAX_BLOCK_COST, priced)
    except BaseException:
        state.take_back()
        raise
    if result.code is not ResultCode.OK:
        state.take_back()
    return result


def process_proposal(state: StateView, entries: Sequence[bytes], own_clock_ms: int) -> str:
    """Why a validator refuses a proposed block: empty if it does not.

    Only what would let a proposer choose ledger time is refused; any other bad entry merely fails when executed.
    """
    try:
        time_ms = decode_clock(entries[0] if entries else b"")
    except RejectedError:
        return "the first entry of a block is the proposer's clock"
    last_ms = ledger_time_ms(state)
    if time_ms <= last_ms:
        return f"the proposer's clock {time_ms} is not later than ledger time {last_ms}"
    if abs(time_ms - own_clock_ms) > MAX_CLOCK_DIFFERENCE_MS:
        return f"the proposer's clock {time_ms} differs from ours by more than {MAX_CLOCK_DIFFERENCE_MS} ms"
    return ""


def proposer_clock_ms(state: StateView, own_clock_ms: int) -> int:
    """Return the time that an honest proposer writes into its block: its clock, but later than ledger time always."""
    return min(max(own_clock_ms, ledger_time_ms(state) + 1), MAX_CLOCK_MS)


def ledger_time_ms(state: StateView) -> int:
    """Ledger time of the newest block in `state`, milliseconds since the epoch."""
    return read_count(state, CLOCK_KEY)


def _apply_clock(state: Overlay, raw: bytes) -> Result:
    try:
        time_ms = decode_clock(raw)
    except RejectedError as error:
        return Result(ResultCode.BAD_CLOCK, f"{ResultCode.BAD_CLOCK.word}: {error.message}")
    if time_ms <= ledger_time_ms(state):
        return Result(ResultCode.BAD_CLOCK, f"{ResultCode.BAD_CLOCK.word}: it is not later than the last one")
    write_count(state, CLOCK_KEY, time_ms)
    return OK


def _decoded(raw: bytes, signatures: SignatureChecker) -> Transaction:
    try:
        transaction = signatures.decode(raw)
    except RejectedError as error:
        refuse(ResultCode.MALFORMED, error.message)
    _require_messages(transaction)
    return transaction


def _require_messages(transaction: Transaction) -> None:
    if not 0 < len(transaction.body.messages) <= MAX_MESSAGES:
        refuse(ResultCode.MALFORMED, f"a transaction has 1 to {MAX_MESSAGES} messages")


def _pass_gates(
    state: Overlay,
    chain_id: str,
    height: int,
    raw: bytes,
    transaction: Transaction,
    price: int,
    signatures: SignatureChecker,
) -> tuple[bytes, Account]:
    """The sender's account and its key. Raise `Refusal`."""
    body = transaction.body
    try:
        key = account_key(sender_of(body.public_key))
    except RejectedError as error:
        refuse(ResultCode.MALFORMED, error.message)
    if price > MAX_TRANSACTION_COST:
        refuse(ResultCode.TOO_COSTLY, f"it costs {price}, a transaction at most {MAX_TRANSACTION_COST}: divide it")
    if body.chain_id != chain_id:
        refuse(ResultCode.WRONG_CHAIN, f"this chain is {chain_id}")
    if height > body.expiry_height:
        refuse(ResultCode.EXPIRED, f"it was valid up to height {body.expiry_height}, this would be {height}")
    account = state.account(key)
    expected = account.sequence
    if body.sequence != expected or expected >= MAX_SEQUENCE:
        refuse(ResultCode.WRONG_SEQUENCE, f"the account's next sequence is {expected}, not {body.sequence}")
    if not signatures.holds(raw, transaction):
        refuse(ResultCode.BAD_SIGNATURE, "the signature is not by the account's key")
    return key, account
