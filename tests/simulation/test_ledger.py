"""The consortium ledger in a town: the ledger's own rules behind the adapter's own code, and what the verdict reads."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.consortium.chain import read_parameters
from adapters.consortium.rpc import CometRpc
from adapters.memory import Endpoint
from core.model.consortium import Claim, ResultCode, caip_asset
from core.model.errors import ConflictError, NotFoundError, RetryableError, RevertedError
from core.model.facts import LockStatus, Transferred
from core.model.ports import Signer
from core.model.transactions import OutcomeStatus, SignedTransaction, UnsignedTransaction
from core.model.types import Asset, BaseUnits, ChainId, ChainTime, Hashlock, Height, LockTerms, Preimage
from core.runtime.clock import VirtualClock, run_virtually
from gateway.simulation.campaign import report
from gateway.simulation.drawing import draw
from gateway.simulation.ledger import PlayedLedger, Settings, officers
from gateway.simulation.ledger.node import Node
from gateway.simulation.ledger.rules import LIVES, broken, lasting
from gateway.simulation.ledger.strangers import lock_that_fails, lock_with_payment
from gateway.simulation.plan import CHAINS, TIMING, A, B, Rough, Style
from gateway.simulation.story import play
from gateway.simulation.wire import Wire
from local_chains.consortium.engine.mempool import Mempool
from local_chains.consortium.ledger import bank, execution, htlc, orders
from local_chains.consortium.ledger.context import Refusal
from tests.simulation.test_seeds import deal, plan

COIN = caip_asset(B, "cb")
PREIMAGE = Preimage(b"\x01" * 32)
HASHLOCK = Hashlock(hashlib.sha256(PREIMAGE.expose()).digest())


class Town:
    """A ledger with two accounts, in virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.counts: Counter[str] = Counter()
        self.ledger = PlayedLedger(B, self.clock, {COIN: Asset(COIN, "CB", 0)}, TIMING, self.counts)
        self.ours = self.ledger.signer("ours", {COIN: 1_000})
        self.theirs = self.ledger.signer("theirs", {COIN: 1_000})
        self.mine()
        self.access = self.ledger.access()

    def mine(self) -> None:
        self.ledger.produce(lambda _: True)

    def terms(self, seconds: int = 100, amount: int = 300) -> LockTerms:
        timelock = ChainTime(B, int(self.clock.now()) + seconds)
        return LockTerms(COIN, BaseUnits(amount), self.ours.account, self.theirs.account, HASHLOCK, timelock)

    async def sign(
        self, signer: Signer, unsigned: UnsignedTransaction, expiry: Height | None = None, sequence: int | None = None
    ) -> SignedTransaction:
        sender = self.access.transactions
        if sequence is None:
            sequence = (await sender.sequences(signer.account)).latest
        request = sender.assemble(unsigned, sequence, None, expiry)
        return sender.attach(request, await signer.sign(request))

    async def send(self, signer: Signer, unsigned: UnsignedTransaction) -> SignedTransaction:
        signed = await self.sign(signer, unsigned)
        await self.access.transactions.submit(signed)
        return signed

    async def lock(self, terms: LockTerms) -> SignedTransaction:
        sent = await self.send(self.ours, self.access.legs.lock(terms, await self.access.legs.lock_id(terms)))
        self.mine()
        return sent


@pytest.mark.parametrize("first", CHAINS)
def test_honest_pair_completes_with_the_ledger(first: ChainId) -> None:
    verdict = play(plan(deal(Style.HONEST, first), deal(Style.COPIED, first, 1, coin=False), ledger=True))
    assert verdict.ok, report(verdict)
    assert (verdict.swaps, verdict.completed) == (2, 2)
    assert verdict.faults["ledger-batch"] == verdict.faults["ledger-batch-refused"] == 1


@pytest.mark.parametrize("style", [style for style in Style if style not in (Style.HONEST, Style.COPIED)])
def test_cheat_gains_nothing_on_the_ledger(style: Style) -> None:
    verdict = play(plan(deal(style, B), ledger=True))
    assert verdict.ok, report(verdict)
    # No block goes away: who spends a lock twice has locked all the same, and the swap goes on.
    assert verdict.completed == (style in (Style.LAST_SECOND, Style.DOUBLE_SPENDS))
    assert verdict.faults.get("ledger-double-spend-refused", 0) == (style is Style.DOUBLE_SPENDS)


def test_seed_with_the_ledger_tells_one_story_only() -> None:
    told_once = plan(deal(Style.HONEST, B), deal(Style.LAST_SECOND, A, 1), ledger=True, restarts=(12.0, 20.0))
    assert play(told_once) == play(told_once)


def test_about_half_of_the_plans_have_the_ledger() -> None:
    plans = [draw(seed) for seed in range(200)]
    with_ledger = [one for one in plans if one.ledger]
    assert 70 < len(with_ledger) < 130
    for one in with_ledger:
        assert B not in one.fees | one.batches
        assert B in one.expiries
        assert {reorg.chain for reorg in one.reorgs} | {spike.chain for spike in one.spikes} <= {A}
    assert any(one.restarts for one in with_ledger)
    assert any(Rough.FINALITY_STALLS in one.rough for one in with_ledger)


def test_halted_ledger_makes_no_blocks_and_nobody_loses() -> None:
    halts = {"rough": frozenset({Rough.FINALITY_STALLS}), "at_s": {Rough.FINALITY_STALLS: 12.0}}
    verdict = play(plan(deal(Style.HONEST, B), deal(Style.LAST_SECOND, A, 1), ledger=True, **halts))
    assert verdict.ok, report(verdict)
    assert verdict.faults["ledger-halt"] == 1


def test_verdict_and_adapter_read_the_same() -> None:
    async def story() -> None:
        town = Town()
        terms = town.terms()
        place = await town.access.legs.lock_id(terms)
        locked = await town.lock(terms)
        await town.send(town.theirs, town.access.legs.claim(terms, place, PREIMAGE, town.theirs.account))
        town.mine()
        ledger, access = town.ledger, town.access
        read = await access.blocks.blocks(Height(1), ledger.height)
        seen = [ledger.block(block.header.height) for block in read]
        for ours, its in zip(seen, read, strict=True):
            assert ours.header == its.header
            facts = [one.event for one in its.events if not isinstance(one.event, Transferred)]
            assert [one.event for one in ours.events] == facts
            assert ledger.block(its.header.ref.hash) == ours
        found = ledger.lock_at(place)
        assert found is not None
        assert (found.terms, found.status) == (terms, LockStatus.CLAIMED)
        before = ledger.lock_at(place, Height(ledger.height - 1))
        assert before is not None
        assert before.status is LockStatus.LOCKED
        assert (await access.locks.lock(place, terms)).status is LockStatus.CLAIMED
        for signer, held in ((town.ours, 700), (town.theirs, 1_300)):
            assert ledger.balance(signer.account, COIN) == held == await access.state.balance(signer.account, COIN)
            assert ledger.used(signer.account, ledger.height) == 1
        body = ledger.read(locked.raw)
        assert (body.sender, body.sequence, body.locks, body.preimages) == (town.ours.account, 0, (terms,), ())
        parameters = await read_parameters(CometRpc("here", transport=node(town)), B, ["cb"], TIMING)
        assert parameters == access.parameters

    run_virtually(story())


def node(town: Town, settings: Settings = Settings.FULL, endpoint: Endpoint | None = None) -> Node:
    return Node(town.ledger.engine, endpoint or Endpoint(town.clock), settings)


@pytest.mark.parametrize("settings", Settings)
def test_nodes_settings_change_no_answer(settings: Settings) -> None:
    async def story() -> None:
        town = Town()
        other = town.ledger.member("other", Endpoint(town.clock), settings).access
        sent = await town.send(town.ours, town.ledger.harmless(town.ours.account, COIN))
        assert (await other.transactions.outcome(sent.hash)).status is OutcomeStatus.PENDING
        town.mine()
        assert await other.transactions.outcome(sent.hash) == await town.access.transactions.outcome(sent.hash)
        assert (await other.transactions.outcome(sent.hash)).final
        newest = town.ledger.height
        assert await other.blocks.blocks(Height(1), newest) == await town.access.blocks.blocks(Height(1), newest)

    run_virtually(story())


def test_same_question_has_one_answer_until_the_next_block() -> None:
    async def asked() -> None:
        town = Town()
        nodes = [node(town), node(town), node(town, Settings.NO_RESULTS)]
        newest = [await CometRpc("http://town", transport=one).call("block") for one in nodes]
        assert newest[0] == newest[1] == newest[2]
        height = newest[0]["block"]["header"]["height"]
        assert {str(town.ledger.engine.tip.height)} == {height}
        full = CometRpc("http://town", transport=nodes[0])
        first = await full.call("block_results", height=height)
        assert await full.call("block_results", height=height) == first
        with pytest.raises(RetryableError):
            await CometRpc("http://town", transport=nodes[2]).call("block_results", height=height)
        town.mine()
        later = await full.call("block")
        assert int(later["block"]["header"]["height"]) == int(height) + 1
        assert await full.call("block_results", height=height) == first

    run_virtually(asked())


def test_node_that_is_behind_answers_from_the_past() -> None:
    async def story() -> None:
        town, endpoint = Town(), Endpoint(VirtualClock())
        terms = town.terms()
        place = await town.access.legs.lock_id(terms)
        locked = await town.lock(terms)
        behind = town.ledger.member("behind", endpoint)
        assert (await behind.access.heads.head()).head.height == town.ledger.height
        endpoint.lag_blocks = 1
        past = Height(town.ledger.height - 1)
        assert (await behind.access.heads.head()).head.height == past
        assert (await behind.locks.lock(place, terms)).status is LockStatus.ABSENT
        assert (await behind.access.transactions.outcome(locked.hash)).status is OutcomeStatus.DROPPED
        for unreached in (town.ledger.height, town.ledger.block(town.ledger.height).header.ref.hash):
            with pytest.raises(NotFoundError):
                await behind.access.blocks.header(unreached)
        with pytest.raises(NotFoundError):
            await behind.locks.lock_at(place, terms, town.ledger.height)

    run_virtually(story())


def test_restarted_validator_has_lost_what_waited() -> None:
    async def story() -> None:
        town = Town()
        sent = await town.send(town.ours, town.ledger.harmless(town.ours.account, COIN))
        town.ledger.engine.forget_pending()
        town.mine()
        sender = town.access.transactions
        assert (await sender.outcome(sent.hash)).status is OutcomeStatus.DROPPED
        await sender.submit(sent)
        town.mine()
        assert (await sender.outcome(sent.hash)).status is OutcomeStatus.INCLUDED
        assert (town.counts["ledger-restart"], town.counts["ledger-mempool-lost"]) == (1, 1)

    run_virtually(story())


def test_held_transaction_expires_and_is_counted() -> None:
    async def story() -> None:
        town = Town()
        harmless = town.ledger.harmless(town.ours.account, COIN)
        signed = await town.sign(town.ours, harmless, Height(town.ledger.height + 1))
        await town.access.transactions.submit(signed)
        town.ledger.produce(lambda _: False)
        assert (await town.access.transactions.outcome(signed.hash)).status is OutcomeStatus.DROPPED
        with pytest.raises(RevertedError, match="expired"):
            await town.access.transactions.submit(signed)
        assert (town.counts["ledger-expired"], town.counts["ledger-refused-expired"]) == (1, 1)

    run_virtually(story())


def test_proposer_that_holds_one_holds_what_follows_it() -> None:
    async def story() -> None:
        town = Town()
        harmless = town.ledger.harmless(town.ours.account, COIN)
        first, second = [await town.sign(town.ours, harmless, sequence=sequence) for sequence in (0, 1)]
        for signed in (first, second):
            await town.access.transactions.submit(signed)
        town.ledger.produce(lambda tx_hash: tx_hash != first.hash)
        assert town.ledger.used(town.ours.account, town.ledger.height) == 0
        town.mine()
        assert town.ledger.used(town.ours.account, town.ledger.height) == 2

    run_virtually(story())


def test_second_use_of_a_sequence_is_refused() -> None:
    async def story() -> None:
        town = Town()
        harmless = town.ledger.harmless(town.ours.account, COIN)
        terms = town.terms()
        wanted = town.access.legs.lock(terms, await town.access.legs.lock_id(terms))
        await town.access.transactions.submit(await town.sign(town.ours, wanted))
        with pytest.raises(ConflictError):
            await town.access.transactions.submit(await town.sign(town.ours, harmless, sequence=0))

    run_virtually(story())


def lenient(result: ResultCode) -> Callable[[ResultCode, str], None]:
    """A `refuse` that lets one thing pass."""

    def refuse(code: ResultCode, sentence: str) -> None:
        if code is not result:
            raise Refusal(code, sentence)

    return refuse


@pytest.mark.parametrize(
    ("passes", "broken_rule"),
    [
        (ResultCode.TOO_LATE, "is claimed after its timelock"),
        (ResultCode.TOO_EARLY, "is refunded before its timelock"),
        (ResultCode.HASHLOCK_USED, "is made a second time"),
        (ResultCode.BAD_TIMELOCK, "is made after its timelock"),
        (ResultCode.ALREADY_SETTLED, "is settled, and is not open"),
    ],
)
def test_broken_htlc_rule_is_noticed(monkeypatch: pytest.MonkeyPatch, passes: ResultCode, broken_rule: str) -> None:
    async def story() -> None:
        town = Town()
        terms = town.terms(10)
        legs = town.access.legs
        place = await legs.lock_id(terms)
        claim = legs.claim(terms, place, PREIMAGE, town.theirs.account)
        refund = legs.refund(terms, place, town.ours.account)
        if passes is ResultCode.BAD_TIMELOCK:
            await town.clock.sleep(20)
        await town.lock(terms)
        assert not list(broken(town.ledger)) or passes is ResultCode.BAD_TIMELOCK
        if passes is ResultCode.TOO_LATE:
            await town.clock.sleep(20)
            await town.send(town.theirs, claim)
        elif passes is ResultCode.TOO_EARLY:
            await town.send(town.ours, refund)
        elif passes is ResultCode.HASHLOCK_USED:
            await town.send(town.ours, legs.lock(terms, place))
        elif passes is ResultCode.ALREADY_SETTLED:
            await town.lock(replace(terms, hashlock=Hashlock(b"\x02" * 32)))  # there must be an open lock to count down
            await town.send(town.theirs, claim)
            town.mine()
            await town.send(town.theirs, claim)
        town.mine()
        assert any(broken_rule in problem for problem in broken(town.ledger))

    monkeypatch.setattr(htlc, "refuse", lenient(passes))
    run_virtually(story())


def test_broken_gate_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        town = Town()
        harmless = town.ledger.harmless(town.ours.account, COIN)
        await town.access.transactions.submit(await town.sign(town.ours, harmless, Height(1)))
        await town.access.transactions.submit(await town.sign(town.theirs, harmless_of(town), sequence=7))
        town.mine()
        found = list(broken(town.ledger))
        assert any("expired at 1" in problem for problem in found)
        assert any("uses sequence 7, not 0" in problem for problem in found)
        forged = await town.sign(town.ours, harmless)
        await town.access.transactions.submit(replace(forged, raw=forged.raw[:-1] + bytes([forged.raw[-1] ^ 1])))
        town.mine()
        assert any("did not sign" in problem for problem in broken(town.ledger))

    def harmless_of(town: Town) -> UnsignedTransaction:
        return town.ledger.harmless(town.theirs.account, COIN)

    def refuse(code: ResultCode, sentence: str) -> None:
        if code not in (ResultCode.EXPIRED, ResultCode.WRONG_SEQUENCE, ResultCode.BAD_SIGNATURE):
            raise Refusal(code, sentence)

    monkeypatch.setattr(execution, "refuse", refuse)
    monkeypatch.setattr(Mempool, "reap", lambda pool, _: pool.first(10))  # an honest proposer skips it
    run_virtually(story())


def test_half_a_transaction_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        town = Town()
        terms = town.terms()
        place = await town.access.legs.lock_id(terms)
        await town.send(town.ours, lock_that_fails(town.access.legs, terms, place))
        town.mine()
        assert any("of 2 messages, all or none, 1 took effect" in problem for problem in broken(town.ledger))

    monkeypatch.setitem(execution._HANDLERS, Claim, lambda *_: None)
    run_virtually(story())


def test_money_from_nowhere_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        town = Town()
        await town.lock(town.terms())
        assert any("its events come to 700" in problem for problem in broken(town.ledger))

    monkeypatch.setattr(htlc, "debit", lambda *_: None)
    run_virtually(story())


def test_state_that_is_not_the_proven_one_is_noticed() -> None:
    async def story() -> None:
        town = Town()
        await town.lock(town.terms())
        assert not list(broken(town.ledger))
        town.ledger.engine.state._leaves[b"made up"] = b"leaf"
        assert list(broken(town.ledger)) == ["the app hash is not that of the state"]

    run_virtually(story())


@pytest.mark.parametrize(("expiry", "lasts"), [(None, True), (LIVES + 2, True), (LIVES + 1, False)])
def test_form_that_outlives_its_time_is_noticed(expiry: Any, lasts: bool) -> None:
    async def story() -> None:
        town = Town()
        wire = Wire(town.clock, {B: town.ledger})
        height = None if expiry is None else Height(town.ledger.height - 1 + expiry)
        signed = await town.sign(town.ours, town.ledger.harmless(town.ours.account, COIN), height)
        wire.note("relayer-0", B, signed.raw)
        assert bool(list(lasting(wire.firsts(), B))) is lasts

    run_virtually(story())


def test_batch_holds_together_or_not_at_all() -> None:
    async def story() -> None:
        town = Town()
        terms = town.terms()
        place = await town.access.legs.lock_id(terms)
        with pytest.raises(RevertedError, match="unknown-lock"):
            await town.send(town.ours, lock_that_fails(town.access.legs, terms, place))
        town.mine()
        assert town.ledger.lock_at(place) is None
        sent = await town.send(town.ours, lock_with_payment(town.access.legs, terms, place))
        town.mine()
        assert town.ledger.read(sent.raw).locks == (terms,)
        found = town.ledger.lock_at(place)
        assert found is not None
        assert found.status is LockStatus.LOCKED
        assert town.ledger.balance(town.ours.account, COIN) == 700

    run_virtually(story())


async def hold(town: Town, held: Signer, until_s: int | None = None) -> None:
    """Both officers, in two blocks."""
    order = officers.order(held.account, int(town.clock.now()) + 60 if until_s is None else until_s)
    first, second = (town.ledger.signer(name) for name in officers.NAMES)
    town.access = town.ledger.access()
    await town.send(first, officers.prepared(B, first.account, order))
    town.mine()
    await town.send(second, officers.approved(B, second.account, 1, order))
    town.mine()


def test_held_account_is_paid_and_pays_nothing() -> None:
    async def story() -> None:
        town = Town()
        legs, terms = town.access.legs, town.terms()
        place = await legs.lock_id(terms)
        await town.lock(terms)
        await hold(town, town.theirs)
        with pytest.raises(RevertedError, match="held"):
            await town.send(town.theirs, town.ledger.harmless(town.theirs.account, COIN))
        with pytest.raises(RevertedError, match="held"):
            await town.lock(replace(terms, hashlock=Hashlock(b"\x02" * 32)))
        await town.send(town.theirs, legs.claim(terms, place, PREIMAGE, town.theirs.account))
        town.mine()
        assert town.ledger.balance(town.theirs.account, COIN) == 1_300
        assert list(broken(town.ledger)) == []

    run_virtually(story())


@pytest.mark.parametrize(
    ("fault", "broken_rule"),
    [
        ("require_free_sender", "which is held, sends 1 cb"),
        ("require_free_receiver", "is made, and"),
        ("_require_second", "is in force by one officer alone"),
    ],
)
def test_broken_rule_of_orders_is_noticed(monkeypatch: pytest.MonkeyPatch, fault: str, broken_rule: str) -> None:
    async def story() -> None:
        town = Town()
        if fault == "_require_second":
            monkeypatch.setattr(officers, "NAMES", (officers.NAMES[0],) * 2)
        await hold(town, town.theirs)
        if fault == "require_free_sender":
            await town.send(town.theirs, town.ledger.harmless(town.theirs.account, COIN))
        elif fault == "require_free_receiver":
            await town.lock(town.terms())
        town.mine()
        assert any(broken_rule in problem for problem in broken(town.ledger))

    for module in (bank, htlc, orders):
        monkeypatch.setattr(module, fault, lambda *_: None, raising=False)
    run_virtually(story())


def test_exit_that_an_order_holds_up_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        town = Town()
        terms = town.terms()
        place = await town.access.legs.lock_id(terms)
        await town.lock(terms)
        claim = town.access.legs.claim(terms, place, PREIMAGE, town.theirs.account)
        waiting = await town.sign(town.theirs, claim)
        await hold(town, town.theirs)
        monkeypatch.setitem(execution._HANDLERS, Claim, lambda context, _: orders.require_free_sender(context))
        monkeypatch.setattr(Mempool, "reap", lambda pool, _: [waiting.raw])
        town.mine()
        assert any("an order holds up claims and refunds" in problem for problem in broken(town.ledger))

    run_virtually(story())
