"""Traces: exact sums by every method, over swaps and both ways; bounds that are reported."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulator_api.tracing.backward import backward
from regulator_api.tracing.forward import forward
from regulator_api.tracing.methods import shares
from regulator_api.tracing.model import Method, Network, Stop, Trace, Way
from tests.regulator_api.tracing.stories import GOLD, Story, ledger


def run(network: Network, method: Method) -> Trace:
    return (forward if network.way is Way.FORWARD else backward)(network, method)


def ends(trace: Trace) -> dict[str, int]:
    """Return what each account has, by its name; in flight by `~` and the name of who locked it."""
    return {
        ("~" if one.lock else "") + one.account.rpartition(":")[2] + ("*" if one.asset == GOLD else ""): taint
        for one, taint in trace.ends
    }


def mixed() -> tuple[Story, Any]:
    """Ten clean units, then ten traced ones, of which twelve leave."""
    story = Story()
    story.pay(None, "middle", 10)
    source = story.pay("thief", "middle", 10)
    story.pay("middle", "shop", 12)
    story.pay("middle", "friend", 8)
    return story, source


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Method.FIFO, {"shop": 2, "friend": 8}),
        (Method.HAIRCUT, {"shop": 6, "friend": 4}),
        (Method.POISON, {"middle": 10, "shop": 12, "friend": 8}),
    ],
)
def test_methods_differ_on_the_same_history(method: Method, expected: dict[str, int]) -> None:
    story, source = mixed()
    assert ends(run(story.network(Way.FORWARD, source), method)) == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # The shop got the ten that were issued, and two of the thief's.
        (Method.FIFO, {"thief": 2}),
        (Method.HAIRCUT, {"thief": 6}),
        (Method.POISON, {"middle": 12, "thief": 10}),
    ],
)
def test_the_way_back_reads_the_same_history(method: Method, expected: dict[str, int]) -> None:
    story, _ = mixed()
    trace = run(story.network(Way.BACKWARD, story.edges[2]), method)
    assert ends(trace) == expected
    if trace.sums is not None:
        assert (trace.sums.source, trace.sums.fees, trace.sums.conserved) == (12, 12 - expected["thief"], True)


def test_a_swap_carries_value_to_the_other_chain_and_no_further() -> None:
    story = Story()
    source = story.pay("thief", "p", 100)
    story.pay(None, "q", 7, GOLD)
    story.swap("p", "q", 100, 7)
    story.pay("q", "innocent", 100)
    story.pay("p", "away", 3, GOLD)
    network = story.network(Way.FORWARD, source)
    for method in (Method.FIFO, Method.HAIRCUT):
        # In units of the source: 3 of 7 of the gold are 42 of 100 coins. The market maker's coins are clean.
        assert ends(run(network, method)) == {"p*": 58, "away*": 42}
    assert set(ends(run(network, Method.POISON))) == {"p", "p*", "away*", "~p"}
    back = story.network(Way.BACKWARD, story.edges[-1])
    for method in (Method.FIFO, Method.HAIRCUT):
        assert ends(run(back, method)) == {"thief": 3}


def test_a_lock_that_is_open_is_in_flight() -> None:
    story = Story()
    source = story.pay("thief", "p", 100)
    story.swap("p", "q", 60, 7, claimed=False)
    trace = run(story.network(Way.FORWARD, source), Method.FIFO)
    assert ends(trace) == {"~p": 60, "p": 40}
    assert trace.sums is not None
    assert (trace.sums.in_flight, trace.sums.held) == (60, 40)


def test_a_trace_stops_at_services_and_hops() -> None:
    story = Story(services={"exchange"})
    source = story.pay("thief", "one", 10)
    story.pay("one", "exchange", 4)
    story.pay("exchange", "customer", 4)
    story.pay("one", "two", 6)
    story.pay("two", "three", 6)
    network = story.network(Way.FORWARD, source)
    assert network.stops == {ledger("exchange"): Stop.SERVICE}
    assert ends(run(network, Method.FIFO)) == {"exchange": 4, "three": 6}
    near = story.network(Way.FORWARD, source, hops=1)
    assert near.stops[ledger("two")] is Stop.HOPS
    assert ends(run(near, Method.FIFO)) == {"exchange": 4, "two": 6}


def test_an_account_with_too_many_moves_ends_the_trace() -> None:
    story = Story()
    source = story.pay("thief", "busy", 10)
    for number in range(20):
        story.pay("busy", f"customer-{number}", 1)
    network = story.network(Way.FORWARD, source, account_moves=10)
    assert network.stops == {ledger("busy"): Stop.BUSY}
    assert ends(run(network, Method.HAIRCUT)) == {"busy": 10}
    few = story.network(Way.FORWARD, source, edges=5)
    assert few.stops == {ledger("busy"): Stop.EDGES}
    assert len(few.edges) <= 5


NAMES = st.sampled_from("abcde")
AMOUNTS = st.one_of(st.integers(1, 50), st.integers(1, 2**255))
STEPS = st.one_of(
    st.tuples(st.just("pay"), st.one_of(st.none(), NAMES), st.one_of(st.none(), NAMES), AMOUNTS, st.booleans()),
    st.tuples(st.just("swap"), NAMES, NAMES, AMOUNTS, AMOUNTS, st.booleans()),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEPS, min_size=1, max_size=25),
    st.integers(0, 10**6),
    st.sampled_from(Way),
    st.sampled_from([Method.FIFO, Method.HAIRCUT]),
    st.integers(1, 12),
    st.sets(NAMES, max_size=2),
)
def test_what_was_traced_is_somewhere_to_the_last_unit(
    steps: list[Any], pick: int, way: Way, method: Method, hops: int, services: set[str]
) -> None:
    story = Story(services=services)
    for step in steps:
        if step[0] == "pay":
            _, sent, received, amount, gold = step
            if sent is not None or received is not None:
                story.pay(sent, received, amount, *([GOLD] if gold else []))
        else:
            _, initiator, participant, coins, gold_units, claimed = step
            story.swap(initiator, participant, coins, gold_units, claimed)
    if not story.edges:
        return
    source = story.edges[pick % len(story.edges)]
    trace = run(story.network(way, source, hops), method)
    assert trace.sums is not None
    assert trace.sums.conserved, trace.sums
    assert trace.sums.source == source.amount
    assert all(flow.taint > 0 for flow in trace.flows)
    assert sum(taint for _, taint in trace.ends) + trace.sums.fees == source.amount
    # All that carries value was reached by poison.
    reached = {flow.edge.place for flow in run(story.network(way, source, hops), Method.POISON).flows}
    assert {flow.edge.place for flow in trace.flows} <= reached


@given(st.integers(0, 10**30), st.lists(st.integers(0, 10**20), min_size=1, max_size=20))
def test_shares_add_up(total: int, weights: list[int]) -> None:
    made = shares(total, weights)
    assert sum(made) == total
    assert all(one >= 0 for one in made)
