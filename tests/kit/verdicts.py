"""Quotes, agreements, clocks, purses and chains' histories at random, many at the second or unit where a verdict
turns, as Python judges them."""

import hashlib
import json
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec
from nacl.signing import SigningKey

from core.model.errors import CausewayError, GateClosedError
from core.model.facts import Block, BlockHeader
from core.model.ports import ChainParameters, ChainTiming
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockTerms,
    Seconds,
    SwapId,
)
from htlc import timelocks
from htlc.model import LegStatus, Phase, Role, swap_id
from htlc.timelocks import DEVNET_POLICY, PRODUCTION_POLICY, ClockSkewError, SwapPolicy
from indexer.chain_view import ChainView, advance
from relayer import inventory
from relayer.api import wire
from relayer.api.bodies import LegBody, QuoteBody, SwapBody, TermsBody
from relayer.client.agreement import TIMELOCK_SLACK_S, ClientPolicy, agreed, check_quote_answer
from relayer.inventory import Promise
from relayer.provider.quoting import Quote, QuoteRequest, Rate, quote_bytes, sign_quote
from tests.kit.vectors import ETHER, EVM, LEDGER, NOW_S, TOKEN, YUAN

ACCEPTED: Final = "accepted"
GATE: Final = "gate-closed"
REFUSED: Final = "refused"
SKEW: Final = "clock-skew"
NEAR: Final = (-2, -1, 0, 1, 2)
STEPS: Final = 8
"""Of a chain's history."""
Json = dict[str, Any]


def made(seed: int, count: int) -> Json:
    """Return cases of each kind, with Python's verdicts."""
    source = random.Random(seed)
    return {
        "quotes": [_quote_case(source) for _ in range(count)],
        "agreements": [_agreement_case(source) for _ in range(count)],
        "skews": [_skew_case(source) for _ in range(count)],
        "purses": [_purse_case(source) for _ in range(count)],
        "histories": [_history_case(source) for _ in range(count)],
    }


def verdict(work: Callable[[], object]) -> str:
    """Return what comes of it, by the kinds that both languages have."""
    try:
        work()
    except GateClosedError:
        return GATE
    except ClockSkewError:
        return SKEW
    except (CausewayError, msgspec.MsgspecError):
        return REFUSED
    return ACCEPTED


def _amount(source: random.Random) -> int:
    return source.choice((1, 2**53 - 1, 2**53, 2**53 + 1, 2**64, 1 + source.getrandbits(source.randint(1, 128))))


def _account(source: random.Random, chain: ChainId) -> AccountId:
    name = source.randbytes(20).hex()
    return AccountId(f"{chain}:0x{name}" if chain == EVM else f"{chain}:{name}")


def _assets(source: random.Random) -> tuple[AssetId, AssetId]:
    one, other = source.choice((ETHER, TOKEN)), YUAN
    return (one, other) if source.random() < 0.5 else (other, one)


def _chain(asset: AssetId) -> ChainId:
    return EVM if asset.startswith(EVM) else LEDGER


def _quote(source: random.Random, key: SigningKey, initiator_s: int, participant_s: int) -> Quote:
    give, get = _assets(source)
    rate, units = Rate(_amount(source), _amount(source)), _amount(source)
    got = max(1, units * rate.numerator // rate.denominator)
    return Quote(
        id=source.randbytes(16).hex(),
        initiator_asset=give,
        initiator_amount=BaseUnits(units),
        participant_asset=get,
        participant_amount=BaseUnits(got),
        rate=rate,
        participant_receiver=_account(source, _chain(give)),
        participant_sender=_account(source, _chain(get)),
        initiator_lock_s=Seconds(initiator_s),
        participant_lock_s=Seconds(participant_s),
        issued_at=NOW_S,
        expires_at=NOW_S + source.choice(NEAR) if source.random() < 0.3 else NOW_S + 30,
        key=bytes(key.verify_key),
    )


# --- quotes ----------------------------------------------------------------------------------------------------------


def _quote_case(source: random.Random) -> Json:
    key = SigningKey(source.randbytes(32))
    lock_s = source.randint(60, 10**6)
    quote = _quote(source, key, lock_s, source.randint(60, 10**6))
    by_receiver = source.random() < 0.5
    amount = int(quote.participant_amount if by_receiver else quote.initiator_amount)
    if by_receiver:
        # The rounding of whoever asks for what is got: up, by less than one unit.
        rate = quote.rate
        needed = max(1, -(-amount * rate.denominator // rate.numerator))
        quote = _with(quote, initiator_amount=BaseUnits(needed))
    asked: Json = {"initiator_asset": quote.initiator_asset, "participant_asset": quote.participant_asset}
    asked["participant_amount" if by_receiver else "initiator_amount"] = str(amount)
    bodies: dict[str, Callable[[Json], None]] = {
        "nothing": lambda body: None,
        "one unit less": lambda body: body.update(participant_amount=str(int(body["participant_amount"]) - 1)),
        "one unit more": lambda body: body.update(initiator_amount=str(int(body["initiator_amount"]) + 1)),
        "another asset": lambda body: body.update(initiator_asset=f"{EVM}/slip44:61"),
        "an account elsewhere": lambda body: body.update(participant_receiver=body["participant_sender"]),
        "a malformed account": lambda body: body.update(participant_sender=f"{LEDGER}:nobody"),
        "another rate": lambda body: body["rate"].update(numerator=str(int(body["rate"]["numerator"]) + 1)),
        "no rate": lambda body: body["rate"].update(denominator="0"),
        "too much": lambda body: body.update(initiator_amount=str(2**256)),
        "an amount with a zero before it": lambda body: body.update(initiator_amount=f"0{body['initiator_amount']}"),
        "an amount in another script": lambda body: body.update(initiator_amount="\u0661"),
        "time in words": lambda body: body.update(expires_at=str(body["expires_at"])),
        "time in parts": lambda body: body.update(expires_at=body["expires_at"] + 0.5),
    }
    change = source.choice(("nothing",) * len(bodies) + tuple(bodies))
    body = _signed(key, quote, bodies[change])
    if source.random() < 0.1:
        body["signature"] = "0x" + source.randbytes(64).hex()
    known = body["key"] if source.random() < 0.95 else "0x" + source.randbytes(32).hex()
    most_s = lock_s + source.choice(NEAR)
    request = QuoteRequest(
        quote.initiator_asset,
        quote.participant_asset,
        None if by_receiver else BaseUnits(amount),
        BaseUnits(amount) if by_receiver else None,
    )
    policy = ClientPolicy(swap=DEVNET_POLICY, max_lock_s=Seconds(most_s))

    def judged() -> None:
        read = wire.quote_from(msgspec.json.decode(json.dumps(body), type=QuoteBody))
        check_quote_answer(request, read, bytes.fromhex(known[2:]), policy, NOW_S)

    return {
        "change": change,
        "asked": asked,
        "quote": body,
        "key": known,
        "most_s": most_s,
        "now_s": NOW_S,
        "verdict": verdict(judged),
    }


def _with(quote: Quote, **changed: Any) -> Quote:
    return Quote(**{name: changed.get(name, getattr(quote, name)) for name in Quote.__dataclass_fields__})


def _signed(key: SigningKey, quote: Quote, change: Callable[[Json], None]) -> Json:
    """Return the quote's body, changed and then signed as far as such a body can be: a liar signs what it likes."""
    body = cast(Json, msgspec.to_builtins(wire.quote_body(sign_quote(quote, key))))
    change(body)
    try:
        read = wire.quote_from(msgspec.convert(body, QuoteBody))
    except (CausewayError, msgspec.MsgspecError):
        return body
    return {**body, "signature": "0x" + key.sign(quote_bytes(read)).signature.hex()}


# --- agreements ------------------------------------------------------------------------------------------------------


def _agreement_case(source: random.Random) -> Json:
    a, b = (ChainTiming(*(Seconds(source.randint(1, 900)) for _ in range(6))) for _ in range(2))
    policy = source.choice((PRODUCTION_POLICY, DEVNET_POLICY))
    lock_s, gap_s = _needs(a, b, policy)
    t_b = NOW_S + lock_s + source.choice((*NEAR, *(300,) * 5))
    t_a = t_b + gap_s + source.choice((*NEAR, *(300,) * 5))
    quote = _quote(source, SigningKey(source.randbytes(32)), t_a - NOW_S, t_b - NOW_S)
    # As far as the slack goes, and the second beyond it.
    quote = _with(
        quote,
        initiator_lock_s=Seconds(t_a - NOW_S - source.choice((0, 0, 0, TIMELOCK_SLACK_S, TIMELOCK_SLACK_S + 1))),
        participant_lock_s=Seconds(t_b - NOW_S - source.choice((0, 0, 0, TIMELOCK_SLACK_S, TIMELOCK_SLACK_S + 1))),
    )
    first, second = _chain(quote.initiator_asset), _chain(quote.participant_asset)
    sender, receiver = _account(source, first), _account(source, second)
    hashlock = Hashlock(hashlib.sha256(source.randbytes(32)).digest())
    answer = _answer(quote, sender, receiver, hashlock, t_a, t_b)
    change = source.choice(("nothing",) * (2 * len(_LIES)) + tuple(_LIES))
    _LIES[change](answer, source)
    most_s = t_a - NOW_S + source.choice((*NEAR, *(10**6,) * 5))
    client = ClientPolicy(swap=policy, max_lock_s=Seconds(most_s))
    chains = {
        first: cast(ChainParameters, SimpleNamespace(timing=a)),
        second: cast(ChainParameters, SimpleNamespace(timing=b)),
    }

    def judged() -> None:
        read = msgspec.json.decode(json.dumps(answer), type=SwapBody)
        agreed(quote, hashlock, sender, receiver, read, chains, client, NOW_S)

    names = ("block_time_s", "inclusion_s", "finality_s", "observation_s", "lead_s", "lag_s")
    return {
        "change": change,
        "quote": msgspec.to_builtins(wire.quote_body(quote)),
        "hashlock": hashlock.hex(),
        "sender": sender,
        "receiver": receiver,
        "answer": answer,
        "timings": {
            first: {name: getattr(a, name) for name in names},
            second: {name: getattr(b, name) for name in names},
        },
        "policy": msgspec.to_builtins(policy),
        "most_s": most_s,
        "slack_s": TIMELOCK_SLACK_S,
        "now_s": NOW_S,
        "verdict": verdict(judged),
    }


def _needs(a: ChainTiming, b: ChainTiming, policy: SwapPolicy) -> tuple[int, int]:
    lock_s = sum(timelocks.quote_terms(a, b, policy).values()) - policy.lock_s
    return lock_s, sum(timelocks.gap_terms(a, b, policy).values())


def _answer(quote: Quote, sender: AccountId, receiver: AccountId, hashlock: Hashlock, t_a: int, t_b: int) -> Json:
    first, second = _chain(quote.initiator_asset), _chain(quote.participant_asset)
    ours = LockTerms(
        quote.initiator_asset,
        quote.initiator_amount,
        sender,
        quote.participant_receiver,
        hashlock,
        ChainTime(first, t_a),
    )
    theirs = LockTerms(
        quote.participant_asset,
        quote.participant_amount,
        quote.participant_sender,
        receiver,
        hashlock,
        ChainTime(second, t_b),
    )
    legs = [
        LegBody(
            terms=wire.terms_body(terms), holder=None, status=LegStatus.ABSENT, lock_id=None, lock=None, settle=None
        )
        for terms in (ours, theirs)
    ]
    swap = SwapBody(
        id=swap_id(ours, theirs),
        quote_id=quote.id,
        role=Role.LIQUIDITY_PROVIDER,
        hashlock=wire.hex_of(hashlock),
        phase=Phase.AGREED,
        done=False,
        reason_code=None,
        reason=None,
        initiator=legs[0],
        participant=legs[1],
        preimage=None,
        lock_deadline=NOW_S + 900,
        created_at=NOW_S,
        updated_at=NOW_S,
        version=1,
    )
    return cast(Json, msgspec.to_builtins(swap))


def _terms(answer: Json, source: random.Random) -> Json:
    return cast(Json, answer[source.choice(("initiator", "participant"))]["terms"])


def _timelock(change: Callable[[int], object]) -> Callable[[Json, random.Random], None]:
    def lie(answer: Json, source: random.Random) -> None:
        terms = _terms(answer, source)
        terms["timelock"] = change(terms["timelock"])
        _renamed(answer)

    return lie


def _renamed(answer: Json) -> None:
    """Give the swap the id of what the answer says now, if it says terms at all: a liar computes it, too."""
    try:
        ours, theirs = (msgspec.convert(answer[leg]["terms"], TermsBody) for leg in ("initiator", "participant"))
        answer["id"] = swap_id(wire.terms_from(ours), wire.terms_from(theirs))
    except (CausewayError, msgspec.MsgspecError):
        pass


def _other_amount(answer: Json, source: random.Random) -> None:
    terms = _terms(answer, source)
    terms["amount"] = str(int(terms["amount"]) + 1)
    _renamed(answer)


def _other_account(answer: Json, source: random.Random) -> None:
    terms = _terms(answer, source)
    terms[source.choice(("sender", "receiver"))] = _account(source, ChainId(terms["chain"]))
    _renamed(answer)


def _other_hashlock(answer: Json, source: random.Random) -> None:
    lock = wire.hex_of(source.randbytes(32))
    answer["hashlock"] = lock
    for leg in ("initiator", "participant"):
        answer[leg]["terms"]["hashlock"] = lock
    _renamed(answer)


def _swapped_legs(answer: Json, source: random.Random) -> None:
    answer["initiator"], answer["participant"] = answer["participant"], answer["initiator"]
    _renamed(answer)


_LIES: Final[dict[str, Callable[[Json, random.Random], None]]] = {
    "nothing": lambda answer, source: None,
    "another amount": _other_amount,
    "another account": _other_account,
    "another hashlock": _other_hashlock,
    "legs the other way round": _swapped_legs,
    "another id": lambda answer, source: answer.update(id=source.randbytes(16).hex()),
    "not a party": lambda answer, source: answer.update(role="watchtower"),
    "over already": lambda answer, source: answer.update(done=True, phase="abandoned"),
    "a deadline in words": lambda answer, source: answer.update(lock_deadline="soon"),
    "a deadline in parts": lambda answer, source: answer.update(lock_deadline=NOW_S + 0.5),
    "a deadline before all time": lambda answer, source: answer.update(lock_deadline=-1),
    "no leg": lambda answer, source: answer.update(participant=None),
    "no terms": lambda answer, source: answer["initiator"].update(terms=None),
    "a timelock in words": _timelock(str),
    "a timelock in parts": _timelock(lambda seconds: seconds + 0.5),
    "a timelock in a list": _timelock(lambda seconds: [seconds]),
    "a timelock that is true": _timelock(lambda seconds: True),
    "no timelock": _timelock(lambda seconds: None),
    "a timelock before all time": _timelock(lambda seconds: -seconds),
    "a timelock that wraps": _timelock(lambda seconds: seconds + 2**40),
    "a timelock beyond all numbers": _timelock(lambda seconds: 2**64 + seconds),
}


# --- clocks ----------------------------------------------------------------------------------------------------------


def _skew_case(source: random.Random) -> Json:
    timing = ChainTiming(*(Seconds(source.randint(1, 900)) for _ in range(6)))
    behind_s = timing.lag_s + timing.inclusion_s + timing.observation_s
    head_s = NOW_S + source.choice((timing.lead_s, -behind_s)) + source.choice(NEAR)
    names = ("block_time_s", "inclusion_s", "finality_s", "observation_s", "lead_s", "lag_s")
    return {
        "head_s": head_s,
        "now_s": NOW_S,
        "timing": {name: getattr(timing, name) for name in names},
        "verdict": verdict(lambda: timelocks.check_skew(ChainTime(EVM, head_s), NOW_S, timing)),
    }


# --- purses ----------------------------------------------------------------------------------------------------------


def _purse_case(source: random.Random) -> Json:
    """A lock of ours next to other open swaps: what it costs itself is taken from the purse before Python judges."""
    fees = source.choice((0, _amount(source)))
    costs: dict[ChainId, dict[AssetId, int]] = {EVM: {ETHER: fees} if fees else {}, LEDGER: {}}
    mine = _promise(source, funded=False, both=True)
    others = [
        _promise(source, funded=source.random() < 0.5, both=source.random() < 0.8) for _ in range(source.randint(0, 4))
    ]
    lock = {ETHER: source.randint(1, 2 * fees)} if fees and mine.asset != YUAN else {}
    needed = inventory.reserved(others, costs) + inventory.exits(mine.chains, costs)
    needed.update({mine.asset: mine.amount})
    needed.update(lock)
    held = {asset: max(0, needed[asset] + source.choice((*NEAR, *(0, 10**9) * 3))) for asset in (ETHER, TOKEN, YUAN)}
    left = {asset: units - lock.get(asset, 0) for asset, units in held.items()}
    return {
        "mine": _told(mine),
        "others": [_told(one) for one in others],
        "costs": {EVM: {"asset": ETHER, "exit": str(fees)}} if fees else {},
        "locking": {asset: str(units) for asset, units in lock.items()},
        "held": {asset: str(units) for asset, units in held.items()},
        "verdict": verdict(lambda: inventory.check_free(mine, others, costs, left, locks=True)),
    }


def _promise(source: random.Random, *, funded: bool, both: bool) -> Promise:
    """`both`: it draws on our accounts on both chains, and not on the chain alone on which it claims."""
    asset = source.choice((ETHER, TOKEN, YUAN))
    claims = LEDGER if _chain(asset) == EVM else EVM
    return Promise(
        swap_id=SwapId(source.randbytes(16).hex()),
        asset=asset,
        amount=BaseUnits(_amount(source)),
        timelock_s=NOW_S,
        counterparties=frozenset(),
        funded=funded or not both,
        chains=frozenset({EVM, LEDGER} if both else {claims}),
    )


def _told(one: Promise) -> Json:
    return {"chains": sorted(one.chains), "asset": one.asset, "amount": str(one.amount), "locks": not one.funded}


# --- chains' histories -----------------------------------------------------------------------------------------------


def _history_case(source: random.Random) -> Json:
    """A chain as it is at each of some looks, with reorgs above and below what is final; the verdicts are those of a
    follower whose alarms an operator acknowledges now and then."""
    blocks = [source.randbytes(32) for _ in range(source.randint(2, 5))]
    final = source.randrange(len(blocks))
    view, alarms, headers = ChainView(EVM, Height(0)), 0, list[BlockHeader]()
    steps, verdicts = list[Json](), list[str]()
    for _ in range(STEPS):
        acknowledged = bool(alarms) and source.random() < 0.5
        alarms = 0 if acknowledged else alarms
        if steps:
            fork = source.choice((len(blocks), source.randint(final + 1, len(blocks)), source.randint(1, final + 1)))
            added = len(blocks) - fork + source.randint(0, 3)
            blocks = [*blocks[:fork], *(source.randbytes(32) for _ in range(added))]
            final = source.randint(final if fork > final else fork - 1, len(blocks) - 1)
        before, headers = headers, [_header(blocks, height) for height in range(len(blocks))]
        view, deep = _followed(view, before, headers, final)
        alarms += deep
        steps.append({"blocks": [one.hex() for one in blocks], "final": final, "acknowledged": acknowledged})
        verdicts.append(REFUSED if alarms else ACCEPTED)
    return {"steps": steps, "verdict": " ".join(verdicts)}


def _header(blocks: list[bytes], height: int) -> BlockHeader:
    parent = blocks[height - 1] if height else b""
    return BlockHeader(BlockRef(EVM, Height(height), blocks[height]), parent, ChainTime(EVM, NOW_S + height))


def _followed(
    view: ChainView, before: list[BlockHeader], headers: list[BlockHeader], final: int
) -> tuple[ChainView, bool]:
    """The view after `headers` have taken the place of those before, and true if a final block was replaced."""
    same = 0
    while same < len(before) and before[same] == headers[same]:
        same += 1
    ancestor = Height(same - 1) if same else None
    older = tuple(before[max(0, same - 1) : view.window[0].height]) if view.window else ()
    step = advance(view, ancestor, [Block(one, ()) for one in headers[same:]], headers[final], older)
    return step.view, step.deep
