"""Whole towns in virtual time: what must hold for every seed, and that the verdict notices if it does not."""

import asyncio
import io
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.memory import FaultRates
from core.model.types import ChainId
from core.runtime.logging import configure_logging
from gateway.simulation.campaign import mixed, report, verdicts
from gateway.simulation.coverage import Coverage, never_seen
from gateway.simulation.drawing import draw
from gateway.simulation.drawing.deals import LATECOMERS
from gateway.simulation.drawing.rare import LATER, THINGS
from gateway.simulation.drawing.small import MAX_FEW, MIN_FEW, MIN_MUCH
from gateway.simulation.plan import (
    AWAY_S,
    CHAINS,
    COME_BACK_S,
    POLICY,
    RARE_TOWNS,
    SMALL_TOWNS,
    A,
    B,
    Deal,
    Death,
    Lie,
    Outage,
    Party,
    Plan,
    Rough,
    Stranger,
    Style,
)
from gateway.simulation.story import play
from relayer.switchboard import Switches
from tests.support import LONG

SEEDS = mixed(2_000 if LONG else 200)
"""A campaign's first towns. `python -m gateway.simulation --seeds 1000 --jobs 2` plays more."""
KEPT = (
    10_020,
    10_028,
    10_172,
    68,
    73,
    92,
    94,
    105,
    116,
    121,
    177,
    184,
    227,
    236,
    255,
    350,
    482,
    512,
    614,
    820,
    1_000_034,
    1_000_182,
    1_000_203,
    1_000_246,
    1_000_258,
    1_000_283,
    1_000_285,
    1_000_303,
    1_000_305,
    1_000_324,
    1_000_327,
    1_000_391,
    1_000_405,
    1_000_450,
    1_000_508,
    1_000_667,
    1_000_866,
    1_000_911,
    1_001_009,
    1_001_049,
    1_001_150,
    1_001_224,
    1_001_253,
    1_001_311,
    1_001_322,
    1_001_407,
    1_001_545,
    1_001_587,
    1_001_672,
    1_001_956,
    1_002_014,
    1_002_121,
    1_002_123,
    1_002_408,
    1_002_543,
    1_002_656,
    1_002_692,
    1_002_782,
    1_003_028,
    1_003_111,
    1_003_263,
    1_003_377,
    1_003_767,
    1_004_826,
    1_004_873,
    1_005_044,
    1_005_059,
    1_005_133,
    1_005_532,
    1_006_114,
    1_006_534,
    1_006_655,
    1_007_184,
    1_008_036,
    1_010_110,
    1_010_366,
    1_011_060,
    1_011_488,
    1_012_074,
    2_000_522,
)
"""Towns that once failed, or show what few do, beyond those that are played anyway."""
PLANS = 200
PIECES = 200 if LONG else 20


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    configure_logging("error", stream=io.StringIO())


@pytest.fixture(scope="session")
def seen_so_far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "seen-so-far"
    shared.mkdir(exist_ok=True)
    return shared


def calm(name: str) -> Party:
    return Party(name, operators=1, lie=None, rates=FaultRates())


def deal(style: Style, first: ChainId = A, number: int = 0, **changes: Any) -> Deal:
    made = Deal(
        number=number,
        first=first,
        coin=True,
        amount=1_000,
        start_s=1.0,
        style=style,
        relayer=0,
        watched=False,
        before_timelock_s=3.0,
        provider_dies=False,
    )
    return replace(made, **changes)


def plan(*deals: Deal, **changes: Any) -> Plan:
    """Nothing goes wrong but what is asked for."""
    made = Plan(
        seed=0,
        deals=deals,
        relayers=(calm("relayer-0"),),
        dapps=(calm("dapp-0"),),
        tower=None,
        fees=frozenset({A}),
        expiries=frozenset({B}),
        batches=frozenset({A}),
        block_time_s=dict.fromkeys(CHAINS, 1.0),
        skew_s=dict.fromkeys(CHAINS, 0),
        reorgs=(),
        spikes=(),
        rough=frozenset(),
    )
    return replace(made, **changes)


@pytest.mark.long
@pytest.mark.endurance
@pytest.mark.parametrize("piece", range(PIECES))
def test_nobody_honest_loses_money_under_any_seed(piece: int, seen_so_far: Path) -> None:
    """In pieces, which the test run's own processes share, and none of which takes long. Whichever ends last has the
    counts of all of them: nothing that has to be borne was never seen."""
    seeds = [*SEEDS, *KEPT][piece::PIECES]
    failed, seen = list[str](), Coverage()
    for verdict in verdicts(seeds):
        seen.add(verdict.plan.seed, verdict.faults, verdict.journeys)
        failed += [] if verdict.ok else [report(verdict)]
    assert not failed, "\n".join([f"python -m gateway.simulation --seed N --verbose shows more\n{failed[0]}"])
    (seen_so_far / f"{piece}.part").write_text(json.dumps(seen.counts))
    (seen_so_far / f"{piece}.part").rename(seen_so_far / f"{piece}.json")
    pieces = [json.loads(one.read_text()) for one in seen_so_far.glob("*.json")]
    assert len(pieces) < PIECES or never_seen(pieces) == []


def test_a_seed_tells_one_story_only() -> None:
    first, again = (play(draw(3)) for _ in range(2))
    assert first == again


def test_towns_start_no_process_that_lives_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this one the ledger's node gets many transactions at once, whose signatures others check."""
    started: list[object] = []

    async def refused(*command: object, **_: object) -> None:
        started.append(command)
        raise OSError("no process in virtual time")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
    verdict = play(draw(196))
    assert verdict.ok, report(verdict)
    assert not started


def test_a_seed_s_story_is_the_same_in_every_process() -> None:
    """Sets of strings have another order in each process: whatever follows one plays another story there."""
    command = [sys.executable, "-m", "gateway.simulation", "--seed", "8"]
    said = [
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": number}, capture_output=True, text=True, check=True)
        for number in ("1", "5")
    ]
    first, again = ([line for line in one.stdout.splitlines() if " swaps/s" not in line] for one in said)
    assert first == again
    assert any(line.startswith("faults: ") for line in first)


def test_plans_differ_and_reach_every_kind_of_trouble() -> None:
    plans = [draw(seed) for seed in range(PLANS)]
    parties = [party for one in plans for party in one.parties]
    small = [draw(SMALL_TOWNS + seed) for seed in range(PLANS)]
    in_small_towns = [party for one in small for party in one.parties]
    assert {one.style for each in plans for one in each.deals} == set(Style)
    in_rare_towns = [party for number in range(len(THINGS)) for party in draw(RARE_TOWNS + number).parties]
    assert {party.lie for party in (*parties, *in_small_towns, *in_rare_towns)} == {*Lie, None}
    assert set().union(*(each.rough for each in (*plans, *small))) == set(Rough)
    for trouble in ("tower", "reorgs", "spikes", "fees", "expiries", "batches"):
        assert {bool(getattr(each, trouble)) for each in plans} == {True, False}, trouble
    assert {bool(party.deaths) for party in parties} == {True, False}
    assert {party.hides for party in parties} == {True, False}


@pytest.mark.parametrize("first", [0, SMALL_TOWNS])
def test_every_chain_has_fees_or_expiries(first: int) -> None:
    """On one with neither nothing that was signed could ever be known not to come."""
    plans = [draw(first + number) for number in range(PLANS)]
    assert all({*CHAINS} == plan.fees | plan.expiries for plan in plans)


def test_nobody_honest_lets_a_preimage_out_or_shares_accounts() -> None:
    """Also whoever comes behind all others, and wants the same as a cheat did."""
    plans = [draw(seed) for first in (0, SMALL_TOWNS) for seed in range(first, first + PLANS)]
    honest = [one for each in plans for one in each.deals if one.style in (Style.HONEST, Style.COPIED)]
    assert not [one for one in honest if one.gets_out or one.gives_as is not None or one.is_paid_as is not None]


def test_small_towns_differ_and_have_one_provider_and_few_swaps() -> None:
    plans = [draw(SMALL_TOWNS + seed) for seed in range(PLANS)]
    few = set(range(MIN_FEW, MAX_FEW + 1))  # and in some towns those who come when something is wrong
    usual = few | {count + LATECOMERS for count in few}
    lengths = {len(each.deals) for each in plans}
    more = {count + one for count in usual for one in (1, 2)}
    assert usual <= lengths <= usual | more, "one more comes as a price jumps, and one when a purse was filled"
    assert {one.style for each in plans for one in each.deals} == set(Style)
    assert set().union(*(each.rough for each in plans)) == set(Rough)
    for each in plans:
        names = {party.name for party in each.parties}
        assert {"relayer-0", "dapp-0"} <= names <= {"relayer-0", "dapp-0", "tower"}
        assert {one.relayer for one in each.deals} == {0}
        assert each.clock_of in {"", *names}
    same = [each for each in plans if len({(one.first, one.coin) for one in each.deals}) == 1]
    crowded = [each for each in same if min(one.amount for one in each.deals) >= MIN_MUCH]
    assert PLANS / 10 < len(crowded) < PLANS / 2


def about(one: Plan) -> object:
    """The differences between towns about rare things."""
    party, client = one.relayers[0], one.dapps[0]
    signing = None if one.signing is None else (one.signing.act, one.signing.again)
    fails = bool(party.deaths), len(client.deaths), party.lie, client.lie, party.moody, one.bending
    doubts = frozenset(deal.doubt for deal in one.deals)
    topped = None if one.topped is None else one.topped.by_itself
    late = party.behind, party.lags_s, frozenset((aim.trouble, aim.act) for aim in one.aims)
    watched = one.tower is not None, one.strangers
    apart = party.silent_s > 0, party.picky, one.clock_off_s > 0, one.looked_into, bool(one.spikes)
    return one.rough, topped, one.rotation is not None, signing, fails, watched, doubts, late, apart


def test_each_rare_thing_comes_in_its_turn_and_alone() -> None:
    turns = [[draw(RARE_TOWNS + turn * len(THINGS) + place) for place in range(len(THINGS))] for turn in range(4)]
    even, odd, *again = [[about(one) for one in plans] for plans in turns]
    assert [even, odd] == again
    assert even[len(LATER) :] == odd[len(LATER) :]
    assert len({*even, *odd}) == len(THINGS) + len(LATER)
    for one in itertools.chain(*turns):
        assert one.small
        assert not any((one.ledger, one.reorgs, one.pricing, one.leading))
        assert one.strangers <= {Stranger.BOGUS_WATCHES}


@pytest.mark.parametrize("first", CHAINS)
def test_an_honest_pair_completes_in_both_directions(first: ChainId) -> None:
    verdict = play(plan(deal(Style.HONEST, first), deal(Style.COPIED, first, 1, coin=False)))
    assert verdict.ok, report(verdict)
    assert (verdict.swaps, verdict.completed) == (2, 2)


@pytest.mark.parametrize("liar", [0, 2])
@pytest.mark.parametrize("lie", Lie)
def test_an_honest_pair_completes_next_to_one_who(lie: Lie, liar: int) -> None:
    def among_three(name: str) -> Party:
        return replace(calm(name), operators=3, lie=lie, liar=liar)

    verdict = play(plan(deal(Style.HONEST), relayers=(among_three("relayer-0"),), dapps=(among_three("dapp-0"),)))
    assert verdict.ok, report(verdict)
    assert verdict.completed == 1


@pytest.mark.parametrize("liar", [0, 1])
def test_an_honest_pair_completes_next_to_one_who_hides(liar: int) -> None:
    """Neither the other lock nor the claim that shows the preimage stays hidden."""

    def among_three(name: str) -> Party:
        return replace(calm(name), operators=3, hides=True, liar=liar)

    verdict = play(plan(deal(Style.HONEST), relayers=(among_three("relayer-0"),), dapps=(among_three("dapp-0"),)))
    assert verdict.ok, report(verdict)
    assert (verdict.completed, verdict.faults["endpoint-late_events"] > 0) == (1, True)


@pytest.mark.parametrize("operators", [1, 3])
@pytest.mark.parametrize("behind", [0.2, 0.5])
def test_an_honest_pair_completes_over_nodes_that_are_behind(operators: int, behind: float) -> None:
    """Each answer comes from another node of the endpoint's: one shows a head, and the next one does not have that
    block yet, which refuses nothing."""

    def balanced(name: str) -> Party:
        return replace(calm(name), operators=operators, behind=behind)

    towns = [
        plan(deal(Style.HONEST), seed=seed, relayers=(balanced("relayer-0"),), dapps=(balanced("dapp-0"),))
        for seed in range(2)
    ]
    for verdict in map(play, towns):
        assert verdict.ok, report(verdict)
        assert verdict.completed == 1
        assert verdict.faults["answered-behind"] > 0


@pytest.mark.parametrize("stepwise", [False, True])
def test_a_token_s_allowance_is_there_before_its_lock(stepwise: bool) -> None:
    deals = [deal(Style.HONEST, first, number, coin=False) for number, first in enumerate((A, B, A))]
    allowing = plan(*deals, allowances=frozenset(CHAINS), stepwise=frozenset(CHAINS if stepwise else ()))
    verdict = play(allowing)
    assert verdict.ok, report(verdict)
    assert verdict.completed == 3
    assert verdict.faults["allowance"] == 2


def test_a_second_lock_that_goes_costs_nobody() -> None:
    """Once the provider has locked, the cheat locks under the same terms again, and a reorg takes that lock out."""
    late = deal(Style.LAST_SECOND, twice=True), deal(Style.HONEST, number=1)
    verdict = play(plan(*late))
    assert verdict.ok, report(verdict)
    assert (verdict.completed, verdict.faults["locked-twice"]) == (2, 1)


def test_what_was_locked_in_vain_is_given_back_early() -> None:
    verdict = play(plan(deal(Style.VANISHES), early_refunds=True))
    assert verdict.ok, report(verdict)
    assert verdict.faults["early-refund"] == 1


def test_a_swap_waits_for_no_attestor() -> None:
    """The second relayer's votes are refused for ever."""
    relayers = calm("relayer-0"), calm("relayer-1")
    deals = deal(Style.HONEST), deal(Style.HONEST, B, 1, relayer=1)
    verdict = play(plan(*deals, relayers=relayers, dapps=(calm("dapp-0"), calm("dapp-1")), attests=True))
    assert verdict.ok, report(verdict)
    assert verdict.completed == 2
    assert verdict.faults["attestor-triggered"] > 2


def test_a_lock_claimed_before_it_is_looked_at_is_not_funded() -> None:
    """The provider dies when it has asked for a look at the lock; meanwhile that lock is claimed for it. It reads that
    before it looks."""
    dies = Death(POLICY.participant_outage_s - COME_BACK_S, commit="effect")
    leaks = deal(Style.VANISHES, leaks=True)
    verdict = play(plan(leaks, relayers=(replace(calm("relayer-0"), deaths=(dies,)),)))
    assert verdict.ok, report(verdict)
    assert verdict.faults["leaked"] == 1
    assert "event-lock-verified" not in verdict.journeys
    assert "effect-fund" not in verdict.journeys


def test_a_watch_knows_a_preimage_that_was_shown_before() -> None:
    """A cheat shows it while the provider is away, and the tower hears of the swap behind that."""
    shows = deal(Style.LAST_SECOND, shows=True, watched=True, late_watch=True)
    verdict = play(plan(shows, tower=calm("tower")))
    assert verdict.ok, report(verdict)
    assert verdict.journeys["event-preimage-seen"] == verdict.faults["shown-meanwhile"] == 1


@pytest.mark.parametrize("at_s", [2.0, 12.0])
def test_a_token_that_begins_to_take_fees_traps_nobody(at_s: float) -> None:
    taking = rough(Rough.TOKEN_TAKES_FEES, at_s, deal(Style.HONEST, B, 2, coin=False))
    verdict = play(taking)
    assert verdict.ok, report(verdict)
    assert verdict.faults["token-fees"] == 1


@pytest.mark.parametrize("works", [False, True])
def test_a_swap_waits_for_no_regulator_and_no_webhook(works: bool) -> None:
    verdict = play(plan(deal(Style.HONEST), regulator=works))
    assert verdict.ok, report(verdict)
    assert verdict.completed == 1
    assert any(name.startswith("report-") for name in verdict.faults)
    assert any(name.startswith("webhook-") for name in verdict.faults)


@pytest.mark.parametrize("who", ["relayer", "dapp"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", ["place", "signature", "lock"])
def test_a_death_costs_nobody_anything_at(dies_at: str, after: bool, who: str) -> None:
    """Both legs settle, whoever is away for as long as is promised."""
    sending = dies_at if dies_at == "lock" else None
    death = Death(8.0, commit=None if sending else dies_at, sending=sending, after=after)
    mortal = (replace(calm(f"{who}-0"), deaths=(death,)),)
    verdict = play(plan(deal(Style.HONEST), **{f"{who}s": mortal}))
    assert verdict.ok, report(verdict)
    assert verdict.faults[f"death-{who}-{'sending' if sending else 'write'}-{dies_at}"] == 1


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("who", ["relayer", "dapp"])
def test_a_database_that_fails_for_a_while_costs_nobody(who: str, full: bool) -> None:
    failing = (replace(calm(f"{who}-0"), outages=(Outage(9.5, 6.0, full),)),)
    verdict = play(plan(deal(Style.HONEST), deal(Style.LAST_SECOND, B, 1, coin=False), **{f"{who}s": failing}))
    assert verdict.ok, report(verdict)
    assert verdict.faults["database-full" if full else "database-gone"] > 0


@pytest.mark.parametrize(
    ("stranger", "came_to_pass"),
    [
        (Stranger.SAME_LOCK_AGAIN, "same-lock-again"),
        (Stranger.BOGUS_WATCHES, "bogus-watch"),
        (Stranger.EMPTY_OPENS, "empty-open"),
        (Stranger.WATCHED_DUST, "watched-dust"),
    ],
)
def test_an_honest_pair_completes_whatever_strangers_do(stranger: Stranger, came_to_pass: str) -> None:
    deals = deal(Style.HONEST), deal(Style.LAST_SECOND, B, 1, watched=True, coin=False, provider_dies=True)
    around = plan(*deals, tower=calm("tower"), strangers=frozenset({stranger}), repeats=frozenset(CHAINS))
    verdict = play(around)
    assert verdict.ok, report(verdict)
    assert verdict.completed == 2
    assert verdict.faults[came_to_pass] > 1


def test_a_stranger_s_watch_over_our_lock_costs_nothing() -> None:
    """The provider watches over its own lock for a stranger, whose other leg is nonsense: it pays for one refund."""
    around = plan(deal(Style.VANISHES), deal(Style.VANISHES, number=1), strangers=frozenset({Stranger.BOGUS_WATCHES}))
    verdict = play(around)
    assert verdict.ok, report(verdict)
    assert verdict.faults["bogus-watch"] > 1


@pytest.mark.parametrize("full", [False, True])
def test_a_database_that_is_away_too_long_needs_a_tower(full: bool) -> None:
    failing = replace(calm("relayer-0"), outages=(Outage(70.0, AWAY_S, full),))
    watched = rough(Rough.DATABASE_AWAY, 70.0)
    watched = replace(watched, deals=tuple(replace(one, watched=True) for one in watched.deals))
    verdict = play(replace(watched, relayers=(failing,), tower=calm("tower")))
    assert verdict.ok, report(verdict)
    assert verdict.completed == 2


@pytest.mark.parametrize("style", [style for style in Style if style not in (Style.HONEST, Style.COPIED)])
def test_a_cheat_gains_nothing_by(style: Style) -> None:
    verdict = play(plan(deal(style)))
    assert verdict.ok, report(verdict)
    assert verdict.completed == (1 if style is Style.LAST_SECOND else 0)


def rough(what: Rough, at_s: float, *more: Deal) -> Plan:
    deals = deal(Style.HONEST), deal(Style.LAST_SECOND, B, 1, coin=False), *more
    return plan(*deals, rough=frozenset({what}), at_s={what: at_s})


def test_exits_go_on_after_a_deep_reorg_took_earlier_ones() -> None:
    """The relayer's own lock was final, and is gone: its claim must not wait behind that lock's sequence."""
    verdict = play(rough(Rough.DEEP_REORG, 17.0))
    assert verdict.ok, report(verdict)
    assert (verdict.completed, verdict.faults["deep-reorg"]) == (1, 1)


def test_a_process_that_was_paused_ends_when_it_wakes() -> None:
    verdict = play(rough(Rough.TWO_PROCESSES, 9.0, deal(Style.HONEST, B, 2, start_s=20.0)))
    assert verdict.ok, report(verdict)
    assert (verdict.completed, verdict.faults["fenced"]) == (3, 1)


def test_woken_process_ends_once_its_database_is_back() -> None:
    """It wakes while the database is away, and learns of the other one after that."""
    failing = replace(calm("relayer-0"), outages=(Outage(28.0, AWAY_S, full=False),))
    both = rough(Rough.TWO_PROCESSES, 9.0)
    verdict = play(replace(both, relayers=(failing,), rough=frozenset({*both.rough, Rough.DATABASE_AWAY})))
    assert verdict.ok, report(verdict)
    assert (verdict.faults["fenced"], verdict.faults["database-gone"] > 0) == (1, True)


def test_a_woken_process_that_finds_an_older_copy_ends() -> None:
    """It began after the copy was made: who was started on the copy has taken the accounts as often as it had."""
    restarted = replace(calm("relayer-0"), deaths=(Death(1.0, at_s=10.0),))
    paused = rough(Rough.TWO_PROCESSES, 9.0, deal(Style.HONEST, B, 2, start_s=20.0))
    verdict = play(
        replace(
            paused,
            relayers=(restarted,),
            rough=frozenset({*paused.rough, Rough.RESTORED}),
            at_s={**paused.at_s, Rough.RESTORED: 3.0},
        )
    )
    assert verdict.ok, report(verdict)
    assert (verdict.faults["fenced"], verdict.faults["restored"]) == (1, 1)


def test_what_an_operator_paused_is_not_locked_and_exits_go_on() -> None:
    """The first swaps are agreed or locked by then, the later ones meet a relayer that quotes nothing for a while."""
    more = deal(Style.HONEST, B, 2, start_s=12.0), deal(Style.VANISHES, A, 3, start_s=6.0), deal(Style.HONEST, A, 4)
    verdict = play(rough(Rough.OPERATOR_PAUSES, 2.0, *more))
    assert verdict.ok, report(verdict)
    assert verdict.faults["operator-pauses"] == 1


@pytest.mark.parametrize("paused_s", [5.0, 9.0])
def test_a_lock_signed_before_a_crash_waits_for_a_new_check(paused_s: float) -> None:
    """Its process ends before the lock leaves, and the operator pauses before it is back: the lock is called off."""
    dying = replace(calm("relayer-0"), deaths=(Death(8.0, sending="lock", after=False),))
    paused = rough(Rough.OPERATOR_PAUSES, paused_s, deal(Style.VANISHES, B, 1))
    verdict = play(replace(paused, deals=(deal(Style.HONEST), *paused.deals[-1:]), relayers=(dying,)))
    assert verdict.ok, report(verdict)
    assert (verdict.faults["death-relayer-sending-lock"], verdict.completed) == (1, 0)


def test_a_relayer_whose_locks_ask_no_switch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Switches, "may_lock", lambda *_: None)
    monkeypatch.setattr(Switches, "check_lock", lambda *_: None)
    more = [deal(Style.HONEST, first, 2 + number, start_s=2.0 + number) for number in range(4) for first in (A, B)]
    numbered = [replace(one, number=2 + number) for number, one in enumerate(more)]
    verdict = play(rough(Rough.OPERATOR_PAUSES, 2.0, *numbered))
    assert "locked-while-paused" in {problem.kind for problem in verdict.problems}, report(verdict)


def test_an_empty_database_funds_nothing_before_it_is_adopted() -> None:
    verdict = play(
        rough(Rough.EMPTIED, 14.0, deal(Style.HONEST, B, 2, start_s=15.0), deal(Style.HONEST, B, 3, start_s=45.0))
    )
    assert verdict.ok, report(verdict)
    assert verdict.faults["adopted"] > 0
    assert verdict.completed >= 1


def test_what_an_older_database_never_knew_is_its_operator_s() -> None:
    """The copy is older than the swap: nobody in this town knows that the provider's lock is to be taken back."""
    verdict = play(rough(Rough.RESTORED, 14.0, deal(Style.VANISHES, number=2, start_s=15.0)))
    assert verdict.ok, report(verdict)
    assert (verdict.swaps, verdict.faults["restored"]) == (3, 1)


def test_what_was_given_back_is_accepted_of_a_forgetful_provider() -> None:
    giving = rough(Rough.SWITCHED_BACK, 9.0, deal(Style.VANISHES, number=2))
    verdict = play(replace(giving, early_refunds=True))
    assert verdict.ok, report(verdict)
    assert (verdict.faults["early-refund"], verdict.faults["switched-back"]) == (1, 1)


def test_a_cheat_whose_claim_is_undone_loses_alone() -> None:
    """A reorg takes the claim of the last second: the provider is paid, and the tower ends as lost."""
    late = deal(Style.LAST_SECOND, watched=True, undone=True, before_timelock_s=3.0)
    verdict = play(plan(late, tower=calm("tower")))
    assert verdict.ok, report(verdict)
    assert verdict.journeys["phase-lost"] == 1


def test_a_swap_waits_for_no_watchtower() -> None:
    """It is away when the swap is agreed on, for longer than there is time to lock."""
    away = replace(calm("tower"), deaths=(Death(10.0, at_s=6.5),))
    verdict = play(plan(deal(Style.HONEST, watched=True), tower=away))
    assert verdict.ok, report(verdict)
    assert verdict.completed == 1


def test_a_watchtower_saves_a_provider_who_is_gone() -> None:
    gone = plan(
        deal(Style.LAST_SECOND, watched=True),
        tower=calm("tower"),
        rough=frozenset({Rough.PROVIDER_VANISHES}),
        at_s={Rough.PROVIDER_VANISHES: 0.0},
    )
    verdict = play(gone)
    assert verdict.ok, report(verdict)
    assert (verdict.completed, verdict.faults["provider-vanishes"]) == (1, 1)
