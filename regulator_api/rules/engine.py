"""Rules at each block: reads what changed in the histories, runs the rules on it, and stores what they say.

A batch of facts is one transaction. Each subject that a fact names is stepped over its new moves; if moves came late,
or are gone after a reorg, what was said since then is forgotten and said again from history. Runs of subjects are kept
in memory, the most recent ones, and are made again from `history_needed` seconds of moves if they are not there. Of a
subject with few moves these are kept instead: a run takes ten times as much memory, and is made of them in a fraction
of the time in which they are read. Who is not in memory and is only paid, by nobody with a label, needs none of them:
no rule finds anything at such moves. Memory is bounded by `MAX_RUNS`, and a block costs by its own moves and the
accounts that it names.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AccountId, ChainId, Height
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.inserts import insert_if_absent
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from indexer.moves import Direction, MoveKey
from indexer.projections import histories
from indexer.projections.histories import Changed
from regulator_api.knowledge.store import LabelStore, load_labels
from regulator_api.knowledge.tags import Labels
from regulator_api.rules import store, tables
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.history import Place, Seen, windowed
from regulator_api.rules.observation import Link, Observation
from regulator_api.rules.paths import MAX_PATH
from regulator_api.rules.reading import Horizon, Knowledge, Reader, lows
from regulator_api.rules.running import FEW_MOVES, SubjectRun, find_nothing, history_needed, judge_path, run_few
from regulator_api.rules.tables import state
from regulator_api.rules.versions import load_rates, load_rules, rates_version, rules_version, typology_of

FACTS: Final = 256
"""Facts of one batch: it holds the database's writer for about a tenth of a second while there is much to read."""
MAX_SUBJECTS: Final = 2_000
"""Subjects that are run in one go; a batch that names more takes several."""
MAX_RUNS: Final = 6_000
"""Subjects with many moves whose runs are kept in memory, about 25 kB each."""
FEW_TO_A_RUN: Final = 10
"""Subjects with few moves that are kept in memory for each run."""
MAX_AGREEMENTS: Final = 200
MAX_NEIGHBOURS: Final = 10_000
"""Counterparties of a newly labelled account that are looked at again; more need a cold run."""
PAUSE_S: Final = 1.0

_STATE: Final = sa.select(state).where(state.c.id == 1).with_for_update()
_MOVE_ON: Final = sa.update(state).where(state.c.id == 1)

log = get_logger("regulator_api.rules")


@dataclass(slots=True)
class _Run:
    """A subject's run, and the last move that it stepped over. `run` None: `moves` make it again, and `before_s` is the
    time of the last move before them, None if there is none."""

    run: SubjectRun | None
    last: Place | None
    moves: Sequence[Seen] = ()
    before_s: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rules have read. `moves` of the last batch; `more`: there is more to read now."""

    seq: int
    more: bool
    moves: int = 0
    raised: int = 0
    withdrawn: int = 0
    incomplete: bool = False


class RulesMetrics:
    """Metrics of the rules."""

    def __init__(self, metrics: Metrics) -> None:
        self._facts = metrics.gauge("regulator_rules_fact", "Number of the newest fact that the rules have read")
        self._moves = metrics.counter("regulator_rules_moves_total", "Moves that the rules have read")
        self._raised = metrics.counter("regulator_alerts_raised_total", "Alerts that were raised")
        self._withdrawn = metrics.counter(
            "regulator_alerts_withdrawn_total", "Alerts that a reorg, a late block or a label took back"
        )
        self._incomplete = metrics.gauge("regulator_rules_incomplete", "1 while only a cold run would be complete")

    def took(self, progress: Progress) -> None:
        self._facts.set(progress.seq)
        self._moves.inc(progress.moves)
        self._raised.inc(progress.raised)
        self._withdrawn.inc(progress.withdrawn)
        self._incomplete.set(progress.incomplete)


class RulesEngine:
    """Runs rules over one database; `step` is a worker's. One engine works at a time: it holds the row of its state."""

    def __init__(
        self, database: Database, clock: Clock, max_runs: int = MAX_RUNS, metrics: Metrics | None = None
    ) -> None:
        self._database = database
        self._metrics = RulesMetrics(Metrics() if metrics is None else metrics)
        self._clock = clock
        self._max_runs = max_runs
        self._reader = Reader()
        self._labels = LabelStore()
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._few: OrderedDict[str, _Run] = OrderedDict()
        self._known: Knowledge | None = None
        self._known_versions: tuple[int, int, int] | None = None
        self._runs_seq: int | None = None
        """The state of the database that the runs in memory belong to; None while it may be another."""

    async def step(self) -> None:
        """Read everything that is there. Raise what the database raises."""
        while (await self.advance()).more:
            pass

    async def advance(self) -> Progress:
        """Take one batch. A batch that was rolled back is taken again from what the database says."""
        try:
            progress = await self._database.write(self._advance)
        except BaseException:
            self._reader.forget()
            raise
        self._runs_seq = progress.seq
        self._metrics.took(progress)
        return progress

    def _advance(self, connection: Connection) -> Progress:
        now = connection.execute(_STATE).first()
        if now is None:
            now = self._begin(connection)
        if self._runs_seq != now.seq:
            self._forget_runs()
        self._runs_seq = None
        self._reader.prepare(connection)
        labels = self._labels.at(connection)
        knowledge = self._knowledge(connection, labels)
        horizon = Horizon.read(now.horizon)
        seq, changes = histories.read_changes(connection, now.seq, FACTS)
        for change in changes:
            horizon.move(change)
        batch = _Batch(self, connection, knowledge, horizon, now.changed_seq, self._clock.now_ns())
        incomplete = now.incomplete
        if now.seq and labels.version != now.label_version:
            incomplete = batch.relabel(_labels_before(connection, now.label_version), labels) or incomplete
        if now.seq and rates_version(connection) != now.rates_version:
            incomplete = "rates were added: what they say about the past takes a cold run"
        # Before the first block is read every agreement is there for it.
        agreements_ns = batch.join(now.agreements_ns) if now.seq else histories.last_report(connection)
        batch.follow(changes)
        batch.run()
        batch.finish()
        values = {
            "seq": seq,
            "agreements_ns": agreements_ns,
            "label_version": labels.version,
            "rules_version": rules_version(connection),
            "rates_version": rates_version(connection),
            "changed_seq": batch.changed_seq,
            "horizon": horizon.text(),
            "incomplete": incomplete,
        }
        if any(getattr(now, name) != value for name, value in values.items()):
            connection.execute(_MOVE_ON, values)
        for kept, most in ((self._runs, self._max_runs), (self._few, self._max_runs * FEW_TO_A_RUN)):
            while len(kept) > most:
                kept.popitem(last=False)
        writer = batch.writer
        return Progress(seq, seq > now.seq, batch.moves, writer.raised, writer.withdrawn, bool(incomplete))

    def _begin(self, connection: Connection) -> Any:
        """Make the row of the state, and hold it."""
        nothing = dict.fromkeys(
            ("seq", "agreements_ns", "label_version", "rules_version", "rates_version", "changed_seq"), 0
        )
        insert_if_absent(connection, state, id=1, horizon="{}", incomplete="", **nothing)
        return connection.execute(_STATE).one()

    def _knowledge(self, connection: Connection, labels: Labels) -> Knowledge:
        versions = (labels.version, rules_version(connection), rates_version(connection))
        complete_since_s = histories.complete_since(connection)
        known = self._known
        if known is None or versions != self._known_versions or known.complete_since_s != complete_since_s:
            self._known = known = Knowledge(
                RuleSet(load_rules(connection)), labels, load_rates(connection), complete_since_s
            )
            self._known_versions = versions
            self._forget_runs()
        return known

    def _forget_runs(self) -> None:
        self._runs.clear()
        self._few.clear()

    def take(self, subject: str) -> _Run | None:
        """Return the run of a subject that is in memory, and take it out."""
        had = self._runs.pop(subject, None)
        return self._few.pop(subject, None) if had is None else had

    def keep(self, subject: str, run: _Run) -> None:
        (self._few if run.run is None else self._runs)[subject] = run

    @property
    def reader(self) -> Reader:
        return self._reader


def _labels_before(connection: Connection, version: int) -> Labels:
    return load_labels(connection, version) if version else Labels()


class _Batch:
    """One transaction's work."""

    def __init__(
        self,
        engine: RulesEngine,
        connection: Connection,
        knowledge: Knowledge,
        horizon: Horizon,
        changed_seq: int,
        now_ns: int,
    ) -> None:
        self._engine, self._connection, self._knowledge, self._horizon = engine, connection, knowledge, horizon
        self._low: dict[str, MoveKey] = {}
        self._must: set[str] = set()
        self.changed_seq = changed_seq
        self.moves = 0
        self._gone: list[Observation] = []
        self._new: list[tuple[Observation, str]] = []
        self._removed: dict[str, Link] = {}
        self._added: dict[str, Link] = {}
        self.writer = store.AlertWriter(
            connection, self._next, knowledge.labels.version, now_ns, lambda rule: typology_of(knowledge.rules, rule)
        )

    def _next(self) -> int:
        self.changed_seq += 1
        return self.changed_seq

    # --- what to look at -----------------------------------------------------------------------------------------

    def follow(self, changes: Sequence[Changed]) -> None:
        """Run the subjects that these changes name."""
        low = lows(((change.lowest, change.accounts) for change in changes), self._knowledge)
        reverted = {
            self._knowledge.name_of(account) for change in changes if change.reverted for account in change.accounts
        }
        self._want(low, reverted)

    def join(self, after_ns: int) -> int:
        """Run the parties of swaps whose terms were reported since; return up to when reports were read."""
        found = histories.agreements_since(self._connection, after_ns, MAX_AGREEMENTS)
        low: dict[str, MoveKey] = {}
        for _, agreement in found:
            for leg in histories.legs_of(self._connection, agreement):
                if not self._horizon.has(leg.chain, leg.locked.height):
                    continue  # its lock is not read yet: when it is, the agreement is there
                key = MoveKey(leg.locked.time_s, leg.chain, Height(0), 0, Direction.OUT)
                for account in (leg.terms.sender, leg.terms.receiver):
                    name = self._knowledge.name_of(account)
                    low[name] = min(key, low.get(name, key))
        self._want(low, low.keys())
        return max((reported_ns for reported_ns, _ in found), default=after_ns)

    def relabel(self, before: Labels, after: Labels) -> str:
        """Run the subjects that other labels make a difference to. Return why a cold run is needed, "" if none is."""
        changed = changed_accounts(before, after)
        low: dict[str, MoveKey] = {}
        beyond = 0
        numbers = histories.account_numbers(self._connection, changed.keys())
        for account, since_s in changed.items():
            if account not in numbers:
                continue  # it never moved anything
            key = MoveKey(since_s, ChainId(""), Height(0), 0, Direction.OUT)
            own = {account, *(one for one in (before.entity_of(account), after.entity_of(account)) if one is not None)}
            neighbours, all_of_them = self._neighbours(numbers[account], since_s)
            beyond += not all_of_them
            for name in own | {self._knowledge.name_of(other) for other in neighbours}:
                low[name] = min(key, low.get(name, key))
        self._want(low, low.keys())
        if beyond:
            return f"label version {after.version}: {beyond} accounts have more than {MAX_NEIGHBOURS} moves to look at"
        return ""

    def _neighbours(self, number: int, since_s: int) -> tuple[set[AccountId], bool]:
        """Return the counterparties of an account's transfers and swaps, and true if these are all."""
        found = histories.stored_moves(self._connection, [number], since_s, self._horizon.until_s)
        rows = list(islice(found, MAX_NEIGHBOURS + 1))
        numbers = {row.other for row in rows if row.other is not None}
        others = set(histories.account_names(self._connection, numbers).values())
        # A lock's move names its keeper: whose history the label is in as well stands in the terms of the swap.
        for one in self._engine.reader.annotate(self._connection, self._knowledge, rows):
            others |= {AccountId(party) for party in (one.other, one.via) if party}
        return others, len(rows) <= MAX_NEIGHBOURS

    # --- runs ----------------------------------------------------------------------------------------------------

    def _want(self, low: Mapping[str, MoveKey], again: Collection[str]) -> None:
        for name, key in low.items():
            self._low[name] = min(key, self._low.get(name, key))
        self._must |= set(again)

    def run(self) -> None:
        """Run the subjects that were named, each once: from history if what is in memory does not end before."""
        low, again = self._low, self._must
        names = sorted(name for name in low if not self._engine.reader.is_keeper(name))
        for first in range(0, len(names), MAX_SUBJECTS):
            part = names[first : first + MAX_SUBJECTS]
            onward: dict[str, _Run] = {}
            for name in part:
                had = self._engine.take(name)
                if had is not None and name not in again and (had.last is None or had.last < low[name][:5]):
                    onward[name] = had
            self._onward(onward, low)
            self._from_history([name for name in part if name not in onward], low)

    def _onward(self, runs: Mapping[str, _Run], low: Mapping[str, MoveKey]) -> None:
        if not runs:
            return
        since_s, needed = min(low[name].time_s for name in runs), history_needed(self._knowledge.rules)
        found = self._engine.reader.load(self._connection, self._knowledge, list(runs), since_s, self._horizon)
        for name, kept in runs.items():
            moves = [move for move in found[name] if kept.last is None or move[:5] > kept.last]
            if not moves:
                self._engine.keep(name, kept)
                continue
            self.moves += len(moves)
            if kept.run is None:
                last_s, window = windowed(kept.moves, moves[0].time_s - needed)
                self._judge(name, kept.before_s if last_s is None else last_s, window, moves)
                continue
            for move in moves:
                kept.run.step(move)
            self._add(*kept.run.take())
            self._engine.keep(name, _Run(kept.run, moves[-1].place))

    def _judge(self, name: str, before_s: int | None, before: list[Seen], judged: list[Seen]) -> None:
        """Run a subject over moves that are judged, and over those before them that this takes; keep its run, or the
        moves if they are few."""
        known = self._knowledge
        subject, last = known.subject(name), (judged or before)[-1].place if judged or before else None
        if len(before) + len(judged) <= FEW_MOVES:
            self._add(*run_few(subject, known.rules, before_s, before, judged))
            self._engine.keep(name, _Run(None, last, before + judged, before_s))
            return
        run = SubjectRun(subject, known.rules, before_s)
        for move in before:
            run.step(move)
        run.take()
        for move in judged:
            run.step(move)
        self._add(*run.take())
        self._engine.keep(name, _Run(run, last))

    def _from_history(self, names: Sequence[str], low: Mapping[str, MoveKey]) -> None:
        if not names:
            return
        connection, known, reader = self._connection, self._knowledge, self._engine.reader
        since = {name: low[name].time_s for name in names}
        self._gone += store.forget_since(connection, since)
        self._removed.update((link.after, link) for link in store.links_since(connection, since))
        # What is judged comes first: most who are paid need nothing of what came before, and it is the most to read.
        from_s, needed = min(since.values()), history_needed(known.rules)
        found = reader.load(connection, known, names, from_s, self._horizon)
        judged = {name: [move for move in found[name] if move.time_s >= since[name]] for name in names}
        self.moves += sum(map(len, judged.values()))
        names = [name for name in names if not find_nothing(known.subject(name), known.rules, judged[name])]
        first_s = min((since[name] for name in names), default=0) - needed
        earlier = reader.load(connection, known, names, first_s, self._horizon, from_s - 1)
        latest = reader.last_before(connection, known, names, first_s)
        for name in names:
            last_s, window = windowed((*earlier[name], *found[name]), since[name] - needed)
            before = window[: len(window) - len(judged[name])]
            self._judge(name, latest.get(name) if last_s is None else last_s, before, judged[name])

    def _add(self, observations: Iterable[Observation], links: Iterable[Link]) -> None:
        self._new += ((one, "") for one in observations)
        self._added.update((link.after, link) for link in links)

    # --- paths and alerts ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Judge the paths that changed, store everything, and bring the alerts up to date."""
        for passage, link in list(self._removed.items()):
            if self._added.get(passage) == link:
                del self._removed[passage], self._added[passage]
        store.replace_links(self._connection, self._removed.keys(), self._added.values())
        self._judge_paths()
        gone, new = set(self._gone), {one for one, _ in self._new}
        store.add_observations(self._connection, self._new)
        self.writer.update(gone - new, new - gone)

    def _judge_paths(self) -> None:
        if not self._removed and not self._added:
            return
        known = {**self._added}
        ends = {**self._added, **self._onward_links(known)}
        self._learn_paths(known)
        self._gone += store.forget_linked(self._connection, self._removed.keys() | ends.keys())
        before: Callable[[str], Link | None] = known.get
        for link in ends.values():
            for one in judge_path(
                link, before, self._knowledge.rules, self._knowledge.name_of, self._knowledge.jurisdiction_of
            ):
                self._new.append((one, link.after))

    def _onward_links(self, known: dict[str, Link]) -> dict[str, Link]:
        """Return the links that carry on from one that changed: their paths changed, too."""
        found: dict[str, Link] = {}
        edge = {*self._removed, *self._added}
        for _ in range(MAX_PATH):
            reached = store.links_by(self._connection, edge, after=False) if edge else []
            edge = {link.after for link in reached} - found.keys() - self._added.keys()
            found.update((link.after, link) for link in reached if link.after in edge)
        known.update(found)
        return found

    def _learn_paths(self, known: dict[str, Link]) -> None:
        """Read the links that lead to those that are known, as far as paths reach."""
        edge = {link.before for link in known.values()} - known.keys()
        for _ in range(MAX_PATH):
            if not edge:
                return
            reached = store.links_by(self._connection, edge, after=True)
            known.update((link.after, link) for link in reached)
            edge = {link.before for link in reached} - known.keys()


def forget_everything(connection: Connection) -> None:
    """Delete what the rules have said, and let them read everything again. Alerts stay as withdrawn until then."""
    row = connection.execute(sa.select(state).where(state.c.id == 1).with_for_update()).first()
    if row is None:
        return
    changed = row.changed_seq + 1
    connection.execute(sa.delete(tables.observations))
    connection.execute(sa.delete(tables.links))
    connection.execute(
        sa.update(tables.alerts).where(~tables.alerts.c.withdrawn).values(withdrawn=True, changed_seq=changed)
    )
    again = {"seq": 0, "agreements_ns": 0, "label_version": 0, "rates_version": 0, "horizon": "{}", "incomplete": ""}
    connection.execute(sa.update(state).where(state.c.id == 1).values(changed_seq=changed, **again))


def changed_accounts(before: Labels, after: Labels) -> dict[AccountId, int]:
    """Return the accounts whose categories or entities differ, with the earliest time from which they do."""
    found: dict[AccountId, int] = {}
    for account in {*before.subjects(), *after.subjects()}:
        old, new = (
            {
                (tag.category, tag.valid_from_s, tag.valid_to_s, tag.entity, tag.jurisdiction)
                for tag in one.all_tags(account)
            }
            for one in (before, after)
        )
        if old != new:
            apart = old ^ new
            moved = {one[3] for one in apart} != {None} or any(one[4] is not None for one in apart)
            found[account] = 0 if moved else min(one[1] for one in apart)
    return found
