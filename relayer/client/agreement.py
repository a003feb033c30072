"""A client's checks of a relayer's answers: it believes nothing that it has not checked. Pure.

The terms of both legs are built here, from the quote that was accepted and accounts of our own; the relayer's answer
contributes the two timelocks and is otherwise compared with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from core.model.errors import RejectedError
from core.model.ports import ChainParameters
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, ChainTime, Hashlock, LockTerms, Seconds, chain_of
from htlc import timelocks
from htlc.model import Agreement, Role, swap_id
from htlc.timelocks import MAX_PLAN_S, SwapPolicy
from relayer.api import wire
from relayer.api.bodies import SwapBody, TermsBody
from relayer.provider.quoting import Quote, QuoteRequest, verify_quote
from relayer.transactions.pipeline import PipelinePolicy

TIMELOCK_SLACK_S: Final = Seconds(30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """The limits that a client insists on. `swap` are the allowances that the time gates are computed with.

    `relayer_key`: the relayer's ed25519 quote key, learnt out of band; None takes the one that its API names.
    `max_lock_s`: how long our money may be locked at most. `timelock_slack_s`: how much later than quoted the timelocks
    may be. `gas_per_exit`: native units kept in reserve for a claim or refund of every open swap. `reserved_only`: go
    into no swap for which the relayer does not keep its part until our lock.
    """

    swap: SwapPolicy
    relayer_key: bytes | None = field(default=None, repr=False)
    max_lock_s: Seconds = Seconds(MAX_PLAN_S)
    timelock_slack_s: Seconds = TIMELOCK_SLACK_S
    gas_per_exit: Mapping[AssetId, BaseUnits] = field(default_factory=dict)
    reserved_only: bool = False
    pipeline: PipelinePolicy = field(default_factory=PipelinePolicy)


def check_quote_answer(request: QuoteRequest, quote: Quote, key: bytes, policy: ClientPolicy, now: float) -> None:
    """Hold a quote against what was asked for. `now` is Unix seconds. Raise `RejectedError`."""
    verify_quote(quote, key, now)
    asked = request.initiator_asset, request.participant_asset
    if (quote.initiator_asset, quote.participant_asset) != asked:
        raise RejectedError("the quote is for other assets than were asked for")
    if request.initiator_amount is not None and quote.initiator_amount != request.initiator_amount:
        raise RejectedError("the quote is for another amount than was asked for")
    if request.participant_amount is not None and quote.participant_amount < request.participant_amount:
        raise RejectedError("the quote pays less than was asked for")
    rate = quote.rate
    if quote.participant_amount != quote.initiator_amount * rate.numerator // rate.denominator and (
        request.participant_amount is None
        or -(-quote.participant_amount * rate.denominator // rate.numerator) != quote.initiator_amount
    ):
        raise RejectedError("the quote's amounts do not follow from its rate")
    for account, asset in (
        (quote.participant_receiver, quote.initiator_asset),
        (quote.participant_sender, quote.participant_asset),
    ):
        if chain_of(account) != chain_of(asset):
            raise RejectedError(f"the quote names {account}, which is not an account on {chain_of(asset)}")
    if quote.initiator_lock_s > policy.max_lock_s:
        raise RejectedError(
            f"the quote locks our money for {quote.initiator_lock_s} s, our limit is {policy.max_lock_s} s"
        )


def agreed(
    quote: Quote,
    hashlock: Hashlock,
    sender: AccountId,
    receiver: AccountId,
    answer: SwapBody,
    chains: Mapping[ChainId, ChainParameters],
    policy: ClientPolicy,
    now_s: int,
) -> Agreement:
    """The agreement to lock on, made of the quote, our own accounts and the answer's timelocks.

    Raise `RejectedError` naming what is not as quoted, `GateClosedError` if a time gate refuses.
    """
    first, second = quote.initiator_chain, quote.participant_chain
    ours = LockTerms(
        asset=quote.initiator_asset,
        amount=quote.initiator_amount,
        sender=sender,
        receiver=quote.participant_receiver,
        hashlock=hashlock,
        timelock=ChainTime(first, answer.initiator.terms.timelock),
    )
    theirs = LockTerms(
        asset=quote.participant_asset,
        amount=quote.participant_amount,
        sender=quote.participant_sender,
        receiver=receiver,
        hashlock=hashlock,
        timelock=ChainTime(second, answer.participant.terms.timelock),
    )
    _compare("initiator", wire.terms_body(ours), answer.initiator.terms)
    _compare("participant", wire.terms_body(theirs), answer.participant.terms)
    name = swap_id(ours, theirs)
    if answer.id != name or answer.hashlock != wire.hex_of(hashlock):
        raise RejectedError("the relayer's swap id is not the digest of the agreed terms: nothing was locked")
    if answer.role is not Role.LIQUIDITY_PROVIDER or answer.done:
        raise RejectedError(f"the relayer does not take part in this swap ({answer.phase}): ask for a new quote")
    timings = chains[first].timing, chains[second].timing
    _check_time(quote, ours, theirs, policy, now_s)
    timelocks.check_lock(now_s, theirs.timelock, *timings, policy.swap)
    timelocks.check_gap(ours.timelock, theirs.timelock, *timings, policy.swap)
    return Agreement(
        swap_id=name,
        role=Role.INITIATOR,
        initiator_leg=ours,
        participant_leg=theirs,
        initiator_timing=timings[0],
        participant_timing=timings[1],
        policy=policy.swap,
        lock_deadline_s=answer.lock_deadline,
    )


def _compare(leg: str, expected: TermsBody, answered: TermsBody) -> None:
    differs = [name for name in TermsBody.__struct_fields__ if getattr(expected, name) != getattr(answered, name)]
    if differs:
        raise RejectedError(
            f"the relayer's {leg} leg is not as quoted, it differs in {', '.join(differs)}: nothing was locked",
            leg=leg,
            differs=differs,
        )


def _check_time(quote: Quote, ours: LockTerms, theirs: LockTerms, policy: ClientPolicy, now_s: int) -> None:
    """Not later than quoted: the gates say what is too early."""
    latest = (
        ("initiator", ours, min(policy.max_lock_s, quote.initiator_lock_s + policy.timelock_slack_s)),
        ("participant", theirs, quote.participant_lock_s + policy.timelock_slack_s),
    )
    for leg, terms, most_s in latest:
        if terms.timelock.seconds - now_s > most_s:
            raise RejectedError(
                f"the {leg} leg's timelock is {terms.timelock.seconds - now_s} s away, at most {most_s} s were agreed: "
                "nothing was locked",
                leg=leg,
            )
