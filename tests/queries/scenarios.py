"""Requests, events and random histories for the tests of the query machine."""

import random
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Final

from msgspec.structs import replace

from core.model.types import AccountId, BlockRef, ChainId, ChainTime, Height
from queries import codec, events
from queries.effects import QueryEffect
from queries.model import End, Place, Proof, QueryState, Request
from queries.transition import transition

ASKING: Final = ChainId("eip155:31337")
ANSWERING: Final = ChainId("causeway:devnet-1")
NOW: Final = 1_700_000_000
DEADLINE: Final = NOW + 100
PLACE: Final = Place(ASKING, AccountId(f"{ASKING}:0xc1"), 7)
PROOF: Final = Proof(Height(12), b"d" * 32)


def request(**changes: object) -> Request:
    """A record of the consortium chain, asked by a contract, as of a height from 10 to 20."""
    made = Request(
        uri="causeway:devnet-1/records/charity/donation-17",
        answering=ANSWERING,
        first=Height(10),
        last=Height(20),
        deadline_s=DEADLINE,
        place=PLACE,
    )
    return replace(made, **changes)


CALLER: Final = replace(request(), place=None, nonce=b"n" * 16)


@cache
def block(height: int = 5, branch: int = 0, chain: ChainId = ASKING) -> BlockRef:
    return BlockRef(chain, Height(height), bytes([branch]) * 32)


def asking(head: int, finalized: int | None = None) -> events.AskingAdvanced:
    """The asking chain's time, in seconds after `NOW`; finality is ten seconds behind."""
    final = head - 10 if finalized is None else finalized
    return events.AskingAdvanced(ChainTime(ASKING, NOW + head), ChainTime(ASKING, NOW + final))


def answering(height: int) -> events.AnsweringAdvanced:
    return events.AnsweringAdvanced(Height(height))


def begin(asked: Request) -> tuple[QueryState, tuple[QueryEffect, ...]]:
    return transition(None, events.Asked(asked, None if asked.place is None else block(), NOW))


def play(state: QueryState, *history: events.QueryEvent) -> tuple[QueryState, list[QueryEffect]]:
    """The state after these events, and every effect that was asked for on the way."""
    asked: list[QueryEffect] = []
    for event in history:
        state, new = transition(state, event)
        asked += new
    return state, asked


def alphabet(state: QueryState) -> list[events.QueryEvent]:
    """Events that could come next: answers to what was asked, sensible or not, and what chains do."""
    found: list[events.QueryEvent] = [
        events.RequestSeen(block()),
        events.RequestSeen(block(6, 1)),
        events.RequestReverted(block()),
        events.RequestReverted(block(6, 1)),
        *map(answering, (9, 10, 15, 30)),
        *(asking(at) for at in (1, 99, 100, 109, 110, 200)),
        asking(300, 100),
        events.AskingAdvanced(ChainTime(ANSWERING, NOW + 500), ChainTime(ANSWERING, NOW + 500)),
        *(events.TimeAdvanced(NOW + at) for at in (1, 99, 100)),
        *(events.SettlementSeen(end, block(8, branch)) for end in End for branch in (0, 1)),
        events.SettlementSeen(End.ANSWERED, block(8, 0, ANSWERING)),
        *(events.SettlementFinal(block(8, branch)) for branch in (0, 1)),
        *(events.SettlementReverted(block(8, branch)) for branch in (0, 1)),
    ]
    for sequence in {1, 2, *(one.sequence for one in (state.proving, state.delivery) if one is not None)}:
        found += [
            events.Proven(sequence, PROOF),
            events.Proven(sequence, Proof(Height(21), b"e" * 32)),
            events.NotProven(sequence, "the node does not answer", False),
            events.NotProven(sequence, "the height is pruned", True),
            events.DeliverySubmitted(sequence),
            *(events.DeliveryFailed(sequence, "reverted", cost) for cost in (True, False)),
            events.DeliveryRefused(sequence, "it costs more than it pays"),
        ]
    return found


def explore(asked: Request, limit: int, seed: int = 7) -> Iterator[tuple[QueryState, events.QueryEvent, QueryState]]:
    """Steps of the machine, breadth first from its beginning, until `limit` states are known."""
    rng = random.Random(seed)
    first, _ = begin(asked)
    known, queue = {codec.encode(replace(first, sequence=0))}, deque([first])
    while queue:
        state = queue.popleft()
        following = alphabet(state)
        rng.shuffle(following)
        for event in following:
            after, _ = transition(state, event)
            yield state, event, after
            key = codec.encode(replace(after, sequence=0))
            if after is not state and key not in known and len(known) < limit:
                known.add(key)
                queue.append(after)
