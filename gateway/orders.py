"""`causeway supervise hold …`: prepare an officer's half of an order, sign it, submit it; and look at orders."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from nacl.signing import SigningKey

from adapters.consortium.chain import ConsortiumChain
from core.model.consortium import (
    Transaction,
    caip_account,
    encode_transaction,
    raw_address,
    sign_bytes,
    transaction_hash,
)
from core.model.consortium_orders import OrderTerms, OrderView, PrepareOrder
from core.model.errors import RejectedError, RetryableError, require
from core.model.ports import OrderReader
from core.model.transactions import SignedTransaction
from core.model.types import AccountId, ChainId, Height
from gateway.members import account_on, chain_at
from gateway.sending import LIFETIME_BLOCKS, height_of
from regulator_api.drafts import Half, OrderDraft, in_words, signed_half, to_draft
from regulator_api.ordering import DAY_S, OrderDesk, is_about
from regulator_api.orders import order_body

MAX_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order as an officer asks for it. `until`: Unix seconds, None for `days` from the newest block."""

    account: str
    reason: str
    case_id: str
    days: int
    until: int | None = None


def case_digest(case_id: str) -> bytes:
    """Return what stands on the ledger for a case: the SHA-256 of its id. Raise `RejectedError` for an empty one."""
    if not case_id.strip():
        raise RejectedError("name the case by its id: an order belongs to one")
    return hashlib.sha256(case_id.encode()).digest()


async def prepare(url: str, officer: str, wanted: Wanted) -> OrderDraft:
    """The first half of an order. Raise `RejectedError` for what the ledger would refuse."""
    async with chain_at(url) as chain:
        desk, case = desk_of(chain), case_digest(wanted.case_id)
        expires = wanted.until if wanted.until is not None else await desk.now_s() + wanted.days * DAY_S
        terms = OrderTerms(account_on(wanted.account, desk.chain), wanted.reason, case, expires)
        return to_draft(await desk.prepare(_account(officer, desk), terms))


async def approve(url: str, officer: str, number: int) -> OrderDraft:
    """The second half of what waits for one under this number. Raise what `OrderDesk.approve` raises."""
    async with chain_at(url) as chain:
        desk = desk_of(chain)
        return to_draft(await desk.approve(_account(officer, desk), number))


async def lift(url: str, officer: str, number: int, reason: str) -> OrderDraft:
    """The first half of the end of an order in force. Raise what `OrderDesk.lift` raises."""
    async with chain_at(url) as chain:
        desk = desk_of(chain)
        return to_draft(await desk.lift(_account(officer, desk), number, reason))


def sign(half: Half, seed: bytes) -> OrderDraft:
    """The half with its officer's signature (ed25519, RFC 8032). Needs no network. Raise `RejectedError` for another
    account's key."""
    key = SigningKey(seed)
    body = half.body(bytes(key.verify_key))
    transaction = encode_transaction(Transaction(body, bytes(key.sign(sign_bytes(body)).signature)))
    return to_draft(half, transaction)


async def submit(url: str, draft: OrderDraft) -> dict[str, Any]:
    """Send a signed half, and wait for the block that holds it.

    Raise `RejectedError` if it is not signed or for another chain, `RevertedError` if the ledger refuses it,
    `RetryableError` if no block holds it.
    """
    half, raw = signed_half(draft)
    async with chain_at(url) as chain:
        sender, heads = chain.access.transactions, chain.access.heads
        if half.chain != chain.access.chain:
            raise RejectedError(f"the order is for {half.chain}, this node is on {chain.access.chain}")
        next_one = (await sender.sequences(half.officer)).latest
        tx_hash = transaction_hash(raw)
        if next_one != half.sequence:
            outcome = await sender.outcome(tx_hash)
            if outcome.block is None:
                raise RejectedError(
                    f"this draft is the officer's transaction number {half.sequence}, and the next one is number "
                    f"{next_one}: something else was sent meanwhile. Prepare and sign it again"
                )
        else:
            await sender.submit(SignedTransaction(half.chain, half.officer, half.sequence, tx_hash, raw))
        last = Height((await heads.head()).head.height + LIFETIME_BLOCKS)
        summary = dict(in_words(half))["you sign to"]
        height = await height_of(sender, heads, tx_hash, last, summary)
        number = await _number(_reader(chain), half)
        return {"height": height, "order": to_json(half.chain, await _reader(chain).order(number))}


async def listing(url: str, account: str | None = None, before: int | None = None) -> dict[str, Any]:
    """The newest orders, of one account if one is named."""
    async with chain_at(url) as chain:
        name = chain.access.chain
        page = await _reader(chain).orders(MAX_SHOWN, before)
        wanted = None if account is None else account_on(account, name)
        some = [one for one in page.orders if is_about(one, wanted)]
        shown = [to_json(name, one) for one in some]
        return {"chain": name, "height": page.height, "count": page.count, "orders": shown}


async def show(url: str, number: int) -> dict[str, Any]:
    """One order. Raise `NotFoundError`."""
    async with chain_at(url) as chain:
        return to_json(chain.access.chain, await _reader(chain).order(number))


def to_json(chain: ChainId, order: OrderView) -> dict[str, Any]:
    """An order with everything that happened to it, as the supervision API shows it."""
    shown: dict[str, Any] = msgspec.to_builtins(order_body(chain, order))
    return shown


def desk_of(chain: ConsortiumChain) -> OrderDesk:
    """The orders of a connected chain."""
    access = chain.access
    return OrderDesk(access.chain, _reader(chain), access.transactions, access.heads)


def _account(text: str, desk: OrderDesk) -> AccountId:
    return caip_account(desk.chain, account_on(text, desk.chain))


async def _number(reader: OrderReader, half: Half) -> int:
    """The number of the order that a half was about, once a block holds it."""
    if not isinstance(half.message, PrepareOrder):
        return half.message.order
    officer = raw_address(half.officer)
    for order in (await reader.orders(MAX_SHOWN)).orders:
        if order.leaf.terms == half.message.terms and order.leaf.prepared.officer == officer:
            return order.number
    raise RetryableError("a block holds the order, and the node does not show it yet: causeway supervise hold list")


def _reader(chain: ConsortiumChain) -> OrderReader:
    reader = chain.access.orders
    require(reader is not None, "a consortium chain has orders")
    assert reader is not None
    return reader
