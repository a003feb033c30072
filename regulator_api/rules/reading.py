"""Histories out of the database, with values, labels and crossings: what rules step over.

Everything is as of one label version, one set of rates and the blocks that are indexed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

import msgspec
from sqlalchemy.engine import Connection

from core.model.types import AccountId, AssetId, ChainId, Height
from indexer.moves import MoveKey
from indexer.projections import histories
from indexer.projections.histories import Changed, Crossing, MovePlace, StoredMove
from indexer.projections.moves import keepers
from regulator_api.knowledge.tags import Labels
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.history import NO_TAGS, NO_VALUE, Kind, Seen, Subject
from regulator_api.values import Rates

MAX_TIME_S: Final = 2**62
MAX_NAMES: Final = 150_000
"""Accounts whose names are remembered between reads, and their numbers: about 0.3 kB each."""
MAX_PASSED: Final = 100
_BY_PLACE: Final = itemgetter(0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything that rules run with, next to histories. `complete_since_s` is as in `history.Subject`."""

    rules: RuleSet
    labels: Labels
    rates: Rates
    complete_since_s: int = 0

    def name_of(self, account: str) -> str:
        """Return the subject that an account belongs to: its entity if a label names one, otherwise itself."""
        return self.labels.entity_of(AccountId(account)) or account

    def accounts_of(self, subject: str) -> tuple[AccountId, ...]:
        """Return the accounts of a subject."""
        return self.labels.accounts_of(subject) or (AccountId(subject),)

    def jurisdiction_of(self, subject: str) -> str | None:
        """Return the first of the subject's jurisdictions that has rules of its own, None if there is none."""
        theirs = self.rules.jurisdictions
        if not theirs:
            return None
        found = {one for account in self.accounts_of(subject) for one in self.labels.jurisdictions(account)}
        return min(found & theirs, default=None)

    def subject(self, name: str) -> Subject:
        return Subject(name, self.jurisdiction_of(name), self.complete_since_s)


class Horizon:
    """Up to where facts were read: histories may contain blocks of later facts, which are left for later."""

    def __init__(self, heights: dict[str, int], until_s: int) -> None:
        self._heights = heights
        self.until_s = until_s

    @classmethod
    def read(cls, text: str) -> "Horizon":
        kept = msgspec.json.decode(text, type=dict[str, tuple[int, int]])
        return cls(
            {chain: height for chain, (height, _) in kept.items()}, max((time for _, time in kept.values()), default=0)
        )

    def text(self) -> str:
        return msgspec.json.encode(
            {chain: (height, self.until_s) for chain, height in self._heights.items()}, order="sorted"
        ).decode()

    def move(self, change: Changed) -> None:
        """Go on by one fact: a block that came, or one that is gone."""
        at = change.lowest
        self._heights[at.chain] = at.height - 1 if change.reverted else at.height
        if not change.reverted:
            self.until_s = max(self.until_s, at.time_s)

    def has(self, chain: str, height: int) -> bool:
        return height <= self._heights.get(chain, -1)

    def within(self, rows: Iterable[StoredMove]) -> list[StoredMove]:
        """Return those of these moves whose block was read."""
        heights = self._heights
        return [row for row in rows if row.height <= heights.get(row.chain, -1)]


class Reader:
    """Reads histories. Remembers names of accounts and assets, which never change their numbers."""

    def __init__(self) -> None:
        self._names: dict[int, AccountId] = {}
        self._numbers: dict[str, int] = {}
        """The same the other way round."""
        self._assets: dict[int, AssetId] = {}
        self._keepers: frozenset[AccountId] = frozenset()
        self._keeping: set[int] = set()
        """Numbers of those accounts that keep locks and whose names are known."""

    def prepare(self, connection: Connection) -> None:
        """Look again which accounts keep locks."""
        now = keepers(connection)
        if now != self._keepers:
            self._keeping = {number for number, name in self._names.items() if name in now}
        self._keepers = now

    def forget(self) -> None:
        """Forget all names: a transaction that they were read in may have been taken back."""
        self._names.clear()
        self._numbers.clear()
        self._keeping.clear()

    def is_keeper(self, account: str) -> bool:
        return account in self._keepers

    def load(
        self,
        connection: Connection,
        knowledge: Knowledge,
        subjects: Collection[str],
        since_s: int,
        horizon: Horizon | None = None,
        until_s: int = MAX_TIME_S,
    ) -> dict[str, list[Seen]]:
        """Return the moves of each subject in a span of time, in order, up to a horizon if there is one."""
        accounts = [account for name in subjects for account in knowledge.accounts_of(name)]
        numbers = self._numbers_of(connection, accounts)
        until_s = until_s if horizon is None else min(until_s, horizon.until_s)
        stored = histories.stored_moves(connection, numbers.values(), since_s, until_s)
        rows = list(stored) if horizon is None else horizon.within(stored)
        found: dict[str, list[Seen]] = {name: [] for name in subjects}
        for seen in self.annotate(connection, knowledge, rows):
            # An account that belongs to an entity is not a subject of its own any more.
            if (name := knowledge.name_of(seen.account)) in found:
                found[name].append(seen)
        for moves in found.values():
            moves.sort(key=_BY_PLACE)
        return found

    def count(
        self, connection: Connection, knowledge: Knowledge, subjects: Collection[str], since_s: int, until_s: int
    ) -> dict[str, int]:
        """Return how many moves `load` would read for each subject; it may leave some of them out."""
        names = {account: name for name in subjects for account in knowledge.accounts_of(name)}
        numbers = self._numbers_of(connection, names.keys())
        counts = histories.count_moves(connection, numbers.values(), since_s, until_s)
        found = dict.fromkeys(subjects, 0)
        for account, number in numbers.items():
            found[names[AccountId(account)]] += counts.get(number, 0)
        return found

    def last_before(
        self, connection: Connection, knowledge: Knowledge, subjects: Collection[str], before_s: int
    ) -> dict[str, int]:
        """Return the time of each subject's last move before a time, for those that have one.

        What rules do not step over, moves within one subject and refunds, is passed by: at most `MAX_PASSED` moves of
        an account, after which its last one counts.
        """
        names = {account: name for name in subjects for account in knowledge.accounts_of(name)}
        numbers = self._numbers_of(connection, names.keys() - self._keepers)
        wanted = dict.fromkeys(numbers, before_s)
        found: dict[str, int] = {}
        for passed in range(MAX_PASSED + 1):
            rows: list[StoredMove] = []
            for at in set(wanted.values()):
                ids = [numbers[account] for account, until_s in wanted.items() if until_s == at]
                rows += histories.last_moves(connection, ids, at)
            seen = {one.account for one in self.annotate(connection, knowledge, rows) if one.kind != Kind.REFUND}
            wanted = {self._names[row.account]: row.time_s for row in rows}
            for account in seen if passed < MAX_PASSED else set(wanted):
                name, time_s = names[AccountId(account)], wanted.pop(account)
                found[name] = max(time_s, found.get(name, 0))
            if not wanted:
                break
        return found

    def annotate(self, connection: Connection, knowledge: Knowledge, rows: Iterable[StoredMove]) -> list[Seen]:
        """Return these moves as rules see them; moves within one subject are left out, and so are those of keepers."""
        rows = rows if isinstance(rows, list) else list(rows)
        self._learn(connection, rows)
        crossed = self._crossings(connection, rows)
        found = []
        names, assets, labels, rates = self._names, self._assets, knowledge.labels, knowledge.rates
        keepers, tagged = self._keepers, labels.subjects()
        for row in rows:
            account = names[row.account]
            if account in keepers:
                continue
            other: str = "" if row.other is None else names[row.other]
            kind, passage, via = Kind.PLAIN, f"{row.chain}/{row.height}/{row.event_index}", ""
            if other in keepers:
                crossing = crossed.get((row.chain, row.height, row.event_index), Crossing(False))
                kind = Kind.REFUND if crossing.refund else Kind.LOCKED
                if crossing.swap is not None and crossing.far is not None and crossing.via is not None:
                    kind, other, via = Kind.CROSSING, crossing.far, crossing.via
                    passage = f"swap/{crossing.swap}/{crossing.role}"
            own = tags = NO_TAGS
            if account in tagged:
                # An entity's own accounts are one purse: what moves between them, or within one, is not a payment.
                entity = labels.entity_of(account)
                if entity is not None and other and labels.entity_of(AccountId(other)) == entity:
                    continue
                own = labels.categories(account, row.time_s)
            if other == account:
                continue
            asset = assets[row.asset]
            value = rates.value(asset, row.amount, row.time_s)
            for party in (other, via):
                if party in tagged and (theirs := labels.categories(AccountId(party), row.time_s)):
                    tags = tags | theirs
            found.append(
                Seen(
                    row.time_s,
                    row.chain,
                    row.height,
                    row.event_index,
                    row.direction,
                    account,
                    other,
                    asset,
                    row.amount,
                    NO_VALUE if value is None else value,
                    kind,
                    passage,
                    via,
                    own,
                    tags,
                )
            )
        return found

    def _learn(self, connection: Connection, rows: Collection[StoredMove]) -> None:
        if len(self._names) > MAX_NAMES:
            self.forget()
        names = self._names
        missing = {row.account for row in rows if row.account not in names}
        missing |= {row.other for row in rows if row.other is not None and row.other not in names}
        if missing:
            self._remember(histories.account_names(connection, missing))
        if any(row.asset not in self._assets for row in rows):
            self._assets = histories.asset_names(connection)

    def _numbers_of(self, connection: Connection, names: Collection[AccountId]) -> dict[str, int]:
        """Return the numbers of those accounts that ever moved value."""
        known = self._numbers
        found: dict[str, int] = {name: known[name] for name in names if name in known}
        if len(found) < len(names):
            learnt = histories.account_numbers(connection, [name for name in names if name not in found])
            found |= learnt
            self._remember({number: AccountId(name) for name, number in learnt.items()})
        return found

    def _remember(self, learnt: Mapping[int, AccountId]) -> None:
        self._names.update(learnt)
        self._numbers.update((name, number) for number, name in learnt.items())
        self._keeping |= {number for number, name in learnt.items() if name in self._keepers}

    def _crossings(self, connection: Connection, rows: Iterable[StoredMove]) -> Mapping[MovePlace, Crossing]:
        keeping = self._keeping
        out, back = set[MovePlace](), set[MovePlace]()
        for row in rows:
            if row.other in keeping:
                (back if row.direction else out).add((row.chain, row.height, row.event_index))
        return histories.crossings(connection, out, back) if out or back else {}


def lows(changes: Iterable[tuple[MoveKey, Iterable[AccountId]]], knowledge: Knowledge) -> dict[str, MoveKey]:
    """Return for each subject the place before which nothing of it changed."""
    found: dict[str, MoveKey] = {}
    for lowest, accounts in changes:
        for account in accounts:
            name = knowledge.name_of(account)
            if name not in found or lowest < found[name]:
                found[name] = lowest
    return found


def as_of(connection: Connection) -> dict[ChainId, Height]:
    """Return the newest indexed height of every chain."""
    return histories.chain_heights(connection)
