"""A swap of a story as the specification has swaps (`docs/spec/Trace.tla`), and whether the specification allows it.

A trace is made of four accounts of what happened, in the order of true time: what the chains did (`history`), what
left the parties (`wire`), what the machines of the honest parties took for facts (the journal), and what they asked
for (the outbox). `refused` replays one against the text of the specification; `make spec-traces` lets TLC do the same.
Times are whole seconds, counted so that T_B is where the specification has it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.memory import FaultRates
from core.model.errors import FatalError
from core.model.types import BlockRef, ChainId, LockId, LockTerms, SwapId
from core.runtime import journal
from gateway.simulation.history import Happened
from gateway.simulation.plan import FORGETFUL, POLICY, TIMING, Rough
from gateway.simulation.tla import Specification
from gateway.simulation.verdict.money import excused
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.wire import Sent
from htlc import codec, effects, events
from htlc.model import Leg

SPECIFICATION: Final = Path(__file__).resolve().parents[2] / "docs" / "spec"
CONSTANTS: Final[Mapping[str, int]] = {
    "I": TIMING.inclusion_s,
    "F": TIMING.finality_s,
    "O": TIMING.observation_s,
    "Lead": TIMING.lead_s,
    "Lag": TIMING.lag_s,
    "Ri": POLICY.initiator_outage_s,
    "Rp": POLICY.participant_outage_s,
    "Ulock": POLICY.lock_s,
    "Uclaim": POLICY.claim_s,
}
MODULE: Final = "Trace"
INITIATOR, PARTICIPANT, WATCHTOWER, NEIGHBOUR = "initiator", "participant", "watchtower", "neighbour"
"""A neighbour watches over another agreement about the same lock: a stranger may have asked for it."""
LETTER: Final = {Leg.INITIATOR: "A", Leg.PARTICIPANT: "B"}
SENDER: Final = {
    **dict.fromkeys(("lockA", "claimB", "refundA"), INITIATOR),
    **dict.fromkeys(("lockB", "claimA", "refundB"), PARTICIPANT),
}
_VERBS: Final = {"fund": "lock", "reveal": "claim", "claim": "claim", "refund": "refund"}
"""The transaction that an effect of this kind sends."""
_EXITS: Final = tuple(f"{verb}-{leg}" for verb in ("claim", "refund") for leg in Leg)
"""The kinds of effects that a watch over other people's swaps asks for."""
_WATCHED: Final = frozenset({"claimA", "claimB", "refundA", "refundB"})
AWAY: Final = frozenset({Rough.DATABASE_AWAY, Rough.PROVIDER_VANISHES})
"""In these a provider is away for longer than the specification lets anybody be."""
GIVEN_BACK: Final = "SignEarlyRefund"
_UNKNOWN: Final = "another"
"""A transaction that the agreement does not know."""
_NS: Final = 10**9
_AFTER_NS: Final = 1_000
"""Notes of the wire are floats of seconds: so much later they surely stand behind what was asked at that moment."""

_OF_ANY_BLOCK: Final = (
    events.LockSeen,
    events.LockReverted,
    events.ClaimSeen,
    events.ClaimReverted,
    events.RefundSeen,
    events.RefundReverted,
)
"""Events of a block that need not be final, nor a quorum's."""

Value = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """One swap's steps as the specification reads them. `number`: of the deal. `initiator`: `honest`, or `any` for a
    cheat. `bounded`: nothing went wrong in it, so that what is due has to happen. `off`: what is wrong with it as an
    agreement, before any step."""

    seed: int
    number: int
    initiator: str
    watched: bool
    bounded: bool
    lead: Mapping[str, int]
    journals: frozenset[str]
    steps: tuple[Value, ...]
    off: str | None = None

    def value(self) -> Value:
        """The record that `Traces` holds."""
        return {"lead": dict(self.lead), "bounded": self.bounded, "journals": self.journals, "steps": self.steps}

    def problem(self, step: int) -> str:
        """Return what the specification says to step `step`, counted from 1."""
        found = self.steps[min(step, len(self.steps)) - 1]
        where = f"{found['of']}: {found['by']}, {found['event']} {found['on']}, second {found['at']}"
        return f"deal {self.number}: the specification refuses step {step} of its trace ({where})"


@cache
def specification(initiator: str, watched: bool) -> Specification:
    """The specification of a trace, under the timing and the policy of every story. Read once. Raise `FatalError`
    without the text."""
    constants = {**CONSTANTS, "Initiator": initiator, "Participant": "honest", "Watched": watched, "Traces": ()}
    try:
        return Specification(SPECIFICATION, MODULE, constants)
    except OSError as error:
        raise FatalError(f"cannot read the specification: {error}. The simulation runs in a source tree") from error


def refused(trace: Trace, model: Specification | None = None) -> int | None:
    """The number of the first step, from 1, that the specification does not allow; None if it allows them all."""
    model = model or specification(trace.initiator, trace.watched)
    model.constant("Traces", (trace.value(),))
    states = model.first("TraceInit")
    furthest = 1
    while states:
        if any(model.value("Accepted", state) for state in states):
            return None
        furthest = max(state["step"] for state in states)
        states = [then for state in states for then in model.after("Replay", state)]
    return furthest


def problems(traces: Sequence[Trace]) -> Iterator[str]:
    """Yield what the specification refuses."""
    for trace in traces:
        if trace.off is not None:
            yield f"deal {trace.number}: {trace.off}"
        elif (step := refused(trace)) is not None:
            yield trace.problem(step)


# --- from a story to its traces ----------------------------------------------------------------------------------


async def of(record: Record) -> list[Trace]:
    """A trace of each swap that was agreed on and of which anything is known; none if what was final was replaced,
    since in the specification it never is, nor if the chains are not alike, which they are there; nor of one whose
    preimage gets out otherwise than by a claim of the second lock, which it does not know."""
    if Rough.DEEP_REORG in record.plan.rough or record.plan.uneven:
        return []
    for history in record.world.histories.values():
        history.look()
    happened = sorted(
        (one for history in record.world.histories.values() for one in history.happened), key=lambda h: h.at_ns
    )
    known = [agreed for agreed in record.agreed if not agreed.deal.gets_out]
    found = [await _trace(record, agreed, happened) for agreed in known]
    return [trace for trace in found if trace.steps]


async def _trace(record: Record, agreed: Agreed, happened: list[Happened]) -> Trace:
    skew = record.plan.skew_s
    sight = _Sight(agreed, happened, skew[agreed.initiator_leg.chain])
    roles = {agreed.relayer: PARTICIPANT}
    if agreed.dapp is not None:
        roles[agreed.dapp] = INITIATOR
    if record.tower is not None and agreed.watched_since_s is not None:
        roles[record.tower.name] = WATCHTOWER
    # A database that another one replaced does not remember all that its party did, and one of a wrong clock not when.
    whole = set() if FORGETFUL & record.plan.rough else set(roles) - {record.plan.clock_of}
    if AWAY & record.plan.rough and excused(record, agreed):
        whole -= {agreed.relayer}  # it may have lost: nobody is away like that in the specification
    timed = [*sight.of_chains(happened), *sight.of_wire(record.world.wire.firsts(), roles)]
    elsewhere: dict[str, set[str]] = {}
    for name in whole:
        database, role = record.process(name).database, roles[name]
        invented = partial(record.world.is_invented, name)
        timed += await database.read(lambda c, by=role, no=invented: list(sight.of_journal(c, by, no)))  # type: ignore[misc]
        elsewhere[role] = await database.read(lambda c: set(sight.asked_elsewhere(c)))
    steps = sight.steps(sorted(timed, key=lambda one: one[0]), elsewhere)
    return Trace(
        seed=record.plan.seed,
        number=agreed.deal.number,
        initiator="any" if agreed.dapp is None else "honest",
        watched=WATCHTOWER in roles.values(),
        bounded=_is_calm(record) and agreed.deal.doubt is None,
        lead={"A": skew[agreed.initiator_leg.chain], "B": skew[agreed.participant_leg.chain]},
        journals=frozenset(roles[name] for name in whole),
        steps=steps,
        off=sight.off,
    )


def _is_calm(record: Record) -> bool:
    """True if nothing went wrong but cheats: then what is due happens in time."""
    plan = record.plan
    faults = [
        plan.rough,
        plan.spikes,
        plan.aims,
        plan.restarts,
        plan.signing,
        record.world.reorged,
        *(process.away for process in record.processes),
    ]
    return not any(faults) and all(
        party.rates == FaultRates()
        and party.lie is None
        and not (party.locked or party.outages or party.behind or party.picky)
        for party in plan.parties
    )


Timed = tuple[int, Value]


class _Sight:
    """One swap's part in what happened, in the words of the specification."""

    def __init__(self, agreed: Agreed, happened: list[Happened], skew_s: int) -> None:
        """`skew_s`: how far the clock of the initiator's chain is ahead."""
        self._agreed = agreed
        self._legs = dict(zip(Leg, agreed.legs, strict=True))
        self._places: dict[tuple[ChainId, LockId], str] = {
            (one.chain, one.lock_id): LETTER[leg]
            for one in happened
            for leg, terms in self._legs.items()
            if one.terms == terms
        }
        self._again = {place for place in self._places if agreed.deal.twice and place not in self._firsts(happened)}
        """Locks that a cheat made under the same terms once more: none of them is the leg."""
        for place in self._again:
            del self._places[place]
        self._taken_over_ns: dict[tuple[ChainId, LockId], int] = {}
        """When another lock took the place of one that a reorg took out, or that was settled: what settles it is
        none of this swap's."""
        self._after_another_ns: dict[tuple[ChainId, LockId], int] = {}
        """When a lock came to a place that another one had before: until then nobody takes this one back."""
        held, others = set[tuple[ChainId, LockId]](), set[tuple[ChainId, LockId]]()
        for one in happened:
            lane = one.chain, one.lock_id
            if one.terms in agreed.legs:
                if lane in others - held:
                    self._after_another_ns[lane] = one.at_ns
                held.add(lane)
            elif lane in held:
                self._taken_over_ns.setdefault(lane, one.at_ns)
            else:
                others.add(lane)
        model = specification("honest", False)
        self._t_a, self._t_b = (leg.timelock.seconds for leg in agreed.legs)
        self._zero_s = self._t_b - int(model.value("TB", {}))
        self._back_s = self._t_a - self._zero_s - skew_s
        """From this second on the initiator's lock comes back without anybody's consent."""
        self.off = self._off(int(model.value("TA", {})) - int(model.value("TB", {})))

    def _firsts(self, happened: list[Happened]) -> set[tuple[ChainId, LockId]]:
        """The place of each leg's first lock."""
        found: dict[LockTerms, tuple[ChainId, LockId]] = {}
        for one in happened:
            found.setdefault(one.terms, (one.chain, one.lock_id))
        return {found[terms] for terms in self._agreed.legs if terms in found}

    def _off(self, apart_s: int) -> str | None:
        """The quote was made at second 0, or by a chain's clock that was ahead."""
        if self._t_a - self._t_b != apart_s:
            return f"its timelocks are {self._t_a - self._t_b} s apart, the specification's {apart_s} s"
        quoted_s = self._agreed.lock_deadline_s - POLICY.lock_s
        if not 0 <= self._zero_s - quoted_s <= TIMING.lead_s:
            return f"its T_B is {self._zero_s - quoted_s} s further behind the quote than the specification's"
        return None

    def _step(self, at_ns: int, of: str, by: str, event: str, on: str, **more: int) -> Timed:
        at = at_ns // _NS - self._zero_s
        return at_ns, {"at": at, "of": of, "by": by, "event": event, "on": on, **more}

    def of_chains(self, happened: list[Happened]) -> Iterator[Timed]:
        for one in happened:
            letter = self._places.get((one.chain, one.lock_id))
            if letter is not None and one.terms in self._agreed.legs:
                yield self._step(one.at_ns, "chain", "chain", one.event, letter)

    def of_wire(self, sent: Sequence[Sent], roles: Mapping[str, str]) -> Iterator[Timed]:
        for one in sent:
            if one.party in roles and not (one.spent and one.body.locks):
                at_ns = round(one.at_s * _NS) + _AFTER_NS
                for on in self._sent(one, at_ns):
                    yield self._step(at_ns, "wire", roles[one.party], "EffectSubmitted", on)

    def _sent(self, sent: Sent, at_ns: int) -> Iterator[str]:
        """The acts of bytes about this swap. With its preimage they claim, whichever leg their chain has."""
        reveals = any(hashlib.sha256(preimage).digest() == self._agreed.hashlock for preimage in sent.body.preimages)
        settled = False
        for terms in sent.body.locks:
            if terms.hashlock == self._agreed.hashlock:
                yield self._lock(terms)
        for place in sent.body.settles:
            lane = sent.chain, place
            letter, there = self._places.get(lane), reveals or at_ns >= self._after_another_ns.get(lane, at_ns)
            if letter is not None and there and at_ns < self._taken_over_ns.get(lane, at_ns + 1):
                settled = True
                yield f"{'claim' if reveals else 'refund'}{letter}"
        if reveals and not settled:
            yield _UNKNOWN

    def _lock(self, terms: LockTerms) -> str:
        return next((f"lock{LETTER[leg]}" for leg, agreed in self._legs.items() if agreed == terms), _UNKNOWN)

    def of_journal(
        self, connection: Connection, by: str, is_invented: Callable[[BlockRef], bool] = lambda _: False
    ) -> Iterator[Timed]:
        """The events of one party's machine, each with the effects that it asked for. Of a block that only a liar next
        to it has, which it takes for the head until the others are as high, all it knows is a preimage."""
        swap_id: SwapId = self._agreed.swap_id
        if not sa.inspect(connection).has_table(journal.journal.name):
            return
        asked: dict[int, list[effects.SwapEffect]] = {}
        for stored in journal.stream_effects(connection, swap_id):
            asked.setdefault(stored.sequence, []).append(codec.decode_effect(stored.body))
        for entry in journal.replay(connection, swap_id):
            event = codec.decode_event(entry.event)
            if isinstance(event, _OF_ANY_BLOCK) and is_invented(event.block):
                if isinstance(event, events.ClaimSeen):
                    yield self._step(entry.recorded_ns, "journal", by, "PreimageSeen", "claimB")
            else:
                yield from self._of_event(entry.recorded_ns, by, event)
            for effect in asked.get(entry.sequence, ()):
                yield from self._of_effect(entry.recorded_ns, by, effect)

    def _of_event(self, at_ns: int, by: str, event: events.SwapEvent) -> Iterator[Timed]:
        name = type(event).__name__
        match event:
            case events.Agreed() | events.QuoteExpired() | events.QuoteCancelled() | events.EarlyRefundRequested():
                yield self._step(at_ns, "journal", by, name, "")
            case events.PreimageSeen():
                yield self._step(at_ns, "journal", by, name, "claimB")
            case events.TimeAdvanced(leg=leg, head=head):
                yield self._step(at_ns, "journal", by, name, LETTER[leg], head=head.seconds - self._zero_s)
            case events.LockSeen(leg=leg, terms=terms):
                if terms == self._legs[leg] and (terms.chain, event.lock_id) not in self._again:
                    yield self._step(at_ns, "journal", by, name, LETTER[leg])
            case (
                events.LockFinal(leg=leg)
                | events.LockReverted(leg=leg)
                | events.ClaimSeen(leg=leg)
                | events.ClaimFinal(leg=leg)
                | events.ClaimReverted(leg=leg)
                | events.RefundSeen(leg=leg)
                | events.RefundFinal(leg=leg)
                | events.RefundReverted(leg=leg)
                | events.LockVerified(leg=leg)
                | events.LockRefused(leg=leg)
            ):
                if self._places.get((self._legs[leg].chain, event.lock_id)) == LETTER[leg]:
                    yield self._step(at_ns, "journal", by, name, LETTER[leg])
                elif isinstance(event, events.ClaimSeen):  # of a stranger's lock: all it shows is the preimage
                    yield self._step(at_ns, "journal", by, "PreimageSeen", "claimB")
            case _:
                if (on := _transaction(event.kind)) is not None:
                    yield self._step(at_ns, "journal", by, name, on)

    def _of_effect(self, at_ns: int, by: str, effect: effects.SwapEffect) -> Iterator[Timed]:
        name = type(effect).__name__
        match effect:
            case effects.NotifyParty():
                return
            case effects.Finished(outcome=outcome):
                yield self._step(at_ns, "outbox", by, name, outcome.value)
            case effects.VerifyLock(leg=leg) | effects.SignEarlyRefund(leg=leg):
                yield self._step(at_ns, "outbox", by, name, f"lock{LETTER[leg]}")
            case _:
                yield self._step(at_ns, "outbox", by, name, _transaction(effects.kind_of(effect)) or _UNKNOWN)

    def asked_elsewhere(self, connection: Connection) -> Iterator[str]:
        """The exits of these legs that a party's machines of other swaps asked for, as a watch over them does."""
        if not sa.inspect(connection).has_table(journal.outbox.name):
            return
        exits = sa.select(journal.outbox.c.body).where(
            journal.outbox.c.stream != self._agreed.swap_id, journal.outbox.c.kind.in_(_EXITS)
        )
        for body in connection.scalars(exits):
            match effect := codec.decode_effect(body):
                case effects.ClaimLeg(terms=terms, lock_id=place) | effects.RefundLeg(terms=terms, lock_id=place):
                    if (letter := self._places.get((terms.chain, place))) is not None:
                        yield f"{'claim' if isinstance(effect, effects.ClaimLeg) else 'refund'}{letter}"

    def steps(self, timed: list[Timed], elsewhere: Mapping[str, Set[str]]) -> tuple[Value, ...]:
        """In order, and with what hands sent: nobody noted it, so it left them when a block held it, at the latest.

        `elsewhere`: of each party whose journal is whole, the exits that its machines of other swaps asked for.
        """
        found: list[Value] = []
        sent: set[str] = set()
        asked: set[tuple[str, str]] = set()
        for _, step in timed:
            by, on = step["by"], step["on"]
            match step["of"]:
                case "outbox":
                    asked.add((by, on))
                case "wire":
                    sent.add(on)
                    if (by, on) not in asked and self._is_neighbours(by, on, elsewhere):
                        step = {**step, "by": NEIGHBOUR}
                case "chain" if step["event"].endswith("Seen"):
                    on = step["event"].removesuffix("Seen").lower() + on
                    if on == "refundA" and step["at"] < self._back_s and PARTICIPANT not in elsewhere:
                        break  # given back as well: who signed it has no journal that says so
                    if on not in sent:
                        sent.add(on)
                        # A party whose journal is whole has noted whatever it sends.
                        by = NEIGHBOUR if on in _WATCHED and SENDER[on] in elsewhere else SENDER[on]
                        found.append({**step, "of": "wire", "by": by, "event": "EffectSubmitted", "on": on})
            found.append(step)
            if step["event"] == GIVEN_BACK:
                break  # the specification knows no refund before its timelock: it judges the way up to here
        return tuple(found)

    @staticmethod
    def _is_neighbours(by: str, on: str, elsewhere: Mapping[str, Set[str]]) -> bool:
        """An exit that this swap's machine did not ask for, and another one of the same party did. Of a party whose
        journal is not whole nobody knows what it asked for: what is another's to send it sent as a neighbour."""
        if by in elsewhere:
            return on in elsewhere[by]
        return by != WATCHTOWER and on in _WATCHED and by != SENDER[on]


def _transaction(kind: str) -> str | None:
    """`claim-initiator` → `claimA`; None for anything but a transaction of a leg."""
    verb, _, leg = kind.rpartition("-")
    return f"{_VERBS[verb]}{LETTER[Leg(leg)]}" if verb in _VERBS else None
