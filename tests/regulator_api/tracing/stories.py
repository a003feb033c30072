"""Histories in memory: a list of edges is all there is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from core.model.types import AccountId, AssetId, ChainId, Height
from regulator_api.tracing.explore import Bounds, explore
from regulator_api.tracing.model import Edge, Ledger, Network, Place, Way
from regulator_api.tracing.ports import Found, Wanted

A, B = ChainId("memory:a"), ChainId("memory:b")
COIN, GOLD = AssetId(f"{A}/asset:coin"), AssetId(f"{B}/asset:gold")


def ledger(name: str, asset: AssetId = COIN) -> Ledger:
    return Ledger(AccountId(f"{asset.partition('/')[0]}:{name}"), asset)


@dataclass
class Story:
    """Edges in their order, one block each; and the services among the accounts."""

    edges: list[Edge] = field(default_factory=list)
    openings: dict[Ledger, int] = field(default_factory=dict)
    services: Collection[str] = ()

    def pay(self, sent: str | None, received: str | None, amount: int, asset: AssetId = COIN) -> Edge:
        return self.move(
            None if sent is None else ledger(sent, asset), None if received is None else ledger(received, asset), amount
        )

    def move(self, sent: Ledger | None, received: Ledger | None, amount: int, swap: str = "") -> Edge:
        asset = sent.asset if received is None and sent is not None else received.asset if received else COIN
        number = len(self.edges) + 1
        place = Place(1_000 + number, ChainId(asset.partition("/")[0]), Height(number), 0)
        edge = Edge(place, place, sent, received, amount, bytes([number % 256]) * 32, swap)
        self.edges.append(edge)
        return edge

    def swap(self, initiator: str, participant: str, coins: int, gold: int, claimed: bool = True) -> None:
        """The initiator locks coins, the participant gold; if `claimed`, both get what the other one locked."""
        name = f"swap-{len(self.edges)}"
        first = Ledger(ledger(initiator).account, COIN, f"{A}/{len(self.edges)}/0")
        second = Ledger(ledger(participant, GOLD).account, GOLD, f"{B}/{len(self.edges)}/0")
        self.move(ledger(initiator), first, coins)
        self.move(ledger(participant, GOLD), second, gold)
        if claimed:
            self.move(first, ledger(initiator, GOLD), gold, name)
            self.move(second, ledger(participant), coins, name)

    # --- the port ------------------------------------------------------------------------------------------------

    def edges_of(self, wanted: Sequence[Wanted], way: Way, most: int) -> list[Found]:
        return [self._found(one, way, most) for one in wanted]

    def _found(self, wanted: Wanted, way: Way, most: int) -> Found:
        mine = [edge for edge in self.edges if wanted.ledger in (edge.sent, edge.received)]
        forward = way is Way.FORWARD
        kept = [edge for edge in mine if (edge.place >= wanted.place if forward else edge.place <= wanted.place)]
        opening = self.openings.get(wanted.ledger, 0)
        for edge in mine:
            if edge not in kept and edge.place < wanted.place:
                opening += edge.amount * ((edge.received == wanted.ledger) - (edge.sent == wanted.ledger))
        locks = [edge.received if forward else edge.sent for edge in kept]
        through = [
            edge
            for edge in self.edges
            for lock in locks
            if lock is not None and lock.lock and lock == (edge.sent if forward else edge.received)
        ]
        busy = len(kept) > most
        return Found(wanted.ledger, () if busy else tuple(kept), () if busy else tuple(through), max(0, opening), busy)

    def is_service(self, account: AccountId, at_s: int) -> bool:
        return account.rpartition(":")[2] in self.services

    def network(self, way: Way, source: Edge, hops: int = 50, **bounds: int) -> Network:
        through = self._found(Wanted(source.received or ledger("-"), source.place), way, 10**6).through
        mine = source.received if way is Way.FORWARD else source.sent
        if mine is not None and mine.lock:
            through = tuple(edge for edge in self.edges if mine == (edge.sent if way is Way.FORWARD else edge.received))
        else:
            through = ()
        return explore(self, way, [source], through, None, Bounds(hops, **bounds))
