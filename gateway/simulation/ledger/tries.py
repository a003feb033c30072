"""A stranger who tries what the ledger's rules forbid, each thing once, with a lock of their own."""

from dataclasses import replace
from typing import Final

import msgspec

from core.model.consortium import SIGN_PREFIX, Transaction, TransactionBody, encode_transaction, transaction_hash
from core.model.errors import CausewayError
from core.model.ports import Signer
from core.model.transactions import SignedTransaction, UnsignedTransaction
from core.model.types import BaseUnits, ChainTime, Height, LockTerms, Preimage
from gateway.simulation import hands
from gateway.simulation.ledger import officers
from gateway.simulation.ledger.strangers import lock_that_fails
from gateway.simulation.plan import MAX_BLOCK_TIME_S, MAX_PENDING_S, MAX_SKEW_S, B
from gateway.simulation.world import COIN, World

AMOUNT: Final = 5
SIGNATURE_BYTES: Final = 64
SOON_S: Final = 30
LATER_S: Final = 3_600
EXPIRES_IN: Final = 2
"""Blocks after which a transaction expires that none of them takes."""
SEEN_S: Final = 2 * MAX_BLOCK_TIME_S + MAX_PENDING_S
"""In this time a transaction that was taken is in a block."""


async def try_rules(world: World) -> None:
    """Refund too early, lock again, claim too late, settle twice, pay for another, do half of something, send what
    has expired, pay and be paid while an order holds them; count each try as `ledger-try`."""
    signer, payee = (world.signer(name, B) for name in ("trier", "trier-payee"))
    legs = world.chains[B].access().legs
    preimage = Preimage.generate(world.secrets("trier").token_bytes)
    timelock = ChainTime(B, int(world.clock.now()) + SOON_S)
    terms = LockTerms(COIN[B], BaseUnits(AMOUNT), signer.account, payee.account, preimage.hashlock(), timelock)
    place = await hands.lock(world, signer, terms)
    refund = legs.refund(terms, place, signer.account)
    await _try(world, signer, refund)
    await _try(world, signer, legs.lock(terms, place))
    await _forge(world, payee)
    await _try(world, signer, world.chains[B].harmless(signer.account, COIN[B]), Height(world.chains[B].height))
    half = replace(terms, hashlock=Preimage.generate(world.secrets("half").token_bytes).hashlock())
    await _try(world, signer, lock_that_fails(legs, half, await legs.lock_id(half)))
    await world.clock.sleep(timelock.seconds + MAX_SKEW_S + 1 - world.clock.now())
    await _try(world, payee, legs.claim(terms, place, preimage, payee.account))
    await hands.send(world, signer, refund)
    await _try(world, signer, refund)
    await _try_while_held(world, signer, payee)


async def let_one_expire(world: World) -> None:
    """Pay with a transaction that blocks leave lying until it expires: when everything else is over."""
    chain, signer = world.chains[B], world.signer("trier-payee", B)
    signed = await _signed(world, signer, chain.harmless(signer.account, COIN[B]), Height(chain.height + EXPIRES_IN))
    world.leave_lying(signed.hash)
    await _submit(world, signed)


async def _try_while_held(world: World, held: Signer, other: Signer) -> None:
    """Two officers hold an account: it tries to pay, and others to lock for it; what was locked before is claimed."""
    legs, clock = world.chains[B].access().legs, world.clock
    preimage = Preimage.generate(world.secrets("held").token_bytes)
    timelock = ChainTime(B, int(clock.now()) + LATER_S)
    terms = LockTerms(COIN[B], BaseUnits(AMOUNT), other.account, held.account, preimage.hashlock(), timelock)
    place = await hands.lock(world, other, terms)
    first, second = (world.signer(name, B) for name in officers.NAMES)
    order = officers.order(held.account, int(clock.now()) + LATER_S)
    await _try(world, first, officers.approved(B, first.account, 1, order))
    await hands.send(world, first, officers.prepared(B, first.account, order))
    await _try(world, first, officers.approved(B, first.account, 1, order))
    await hands.send(world, second, officers.approved(B, second.account, 1, order))
    await _try(world, held, world.chains[B].harmless(held.account, COIN[B]))
    again = replace(terms, hashlock=Preimage.generate(world.secrets("again").token_bytes).hashlock())
    await _try(world, other, legs.lock(again, await legs.lock_id(again)))
    await hands.send(world, held, legs.claim(terms, place, preimage, held.account))


async def _try(world: World, signer: Signer, unsigned: UnsignedTransaction, expiry: Height | None = None) -> None:
    """Send it once, and wait until a block could hold it."""
    await _submit(world, await _signed(world, signer, unsigned, expiry))


async def _signed(
    world: World, signer: Signer, unsigned: UnsignedTransaction, expiry: Height | None
) -> SignedTransaction:
    sender = world.chains[B].access().transactions
    sequence = (await sender.sequences(signer.account)).latest
    request = sender.assemble(unsigned, sequence, None, expiry)
    return sender.attach(request, await signer.sign(request))


async def _forge(world: World, victim: Signer) -> None:
    """Spend another's money under a signature that is not theirs."""
    chain = world.chains[B]
    sender = chain.access().transactions
    sequence = (await sender.sequences(victim.account)).latest
    request = sender.assemble(chain.harmless(victim.account, COIN[B]), sequence, None, None)
    body = msgspec.msgpack.decode(request.payload.removeprefix(SIGN_PREFIX), type=TransactionBody)
    raw = encode_transaction(Transaction(body, bytes(SIGNATURE_BYTES)))
    await _submit(world, SignedTransaction(B, victim.account, sequence, transaction_hash(raw), raw))


async def _submit(world: World, signed: SignedTransaction) -> None:
    world.faults["ledger-try"] += 1
    try:
        await world.chains[B].access().transactions.submit(signed)
    except CausewayError:
        return
    await world.clock.sleep(SEEN_S)
