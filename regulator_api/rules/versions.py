"""Rules and rates in the database: drafts, activation by a second person, and what is in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.model.types import AssetId
from core.runtime.clock import NS_PER_S
from core.runtime.web import after
from indexer.writing import insert_rows
from regulator_api.rules.catalogue import TYPOLOGIES, Rule, RuleSet, default_rules, make_rule
from regulator_api.rules.tables import rates, rules
from regulator_api.values import Rate, Rates

MAX_REASON_CHARS: Final = 2_000
MAX_DRAFTS: Final = 200
LEAD_S: Final = 60
"""A rule is effective this long after its activation at the earliest: no block before then has been read with it."""
_RATE_COLUMNS: Final = tuple(column.name for column in rates.c)
_RULES_VERSION: Final = sa.select(sa.func.max(rules.c.changed_version))
_RATES_VERSION: Final = sa.select(sa.func.max(rates.c.version))


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule with its history. `state` is draft, active, retired or rejected."""

    rule: Rule
    version: int
    state: str
    reason: str
    proposed_by: str
    proposed_ns: int
    decided_by: str | None
    decided_ns: int | None


def list_rules(connection: Connection) -> list[RuleRow]:
    """Return the rules that came with Causeway, and all that were ever proposed, by id."""
    stored = {row.rule_id: _row(row) for row in connection.execute(sa.select(rules))}
    for rule in default_rules():
        if rule.rule_id not in stored:
            stored[rule.rule_id] = RuleRow(
                rule, rule.typology.version, "active", "came with Causeway", "causeway", 0, None, None
            )
    return [stored[name] for name in sorted(stored)]


def rule_row(connection: Connection, rule_id: str) -> RuleRow:
    """Return one rule. Raise `NotFoundError`."""
    for row in list_rules(connection):
        if row.rule.rule_id == rule_id:
            return row
    raise NotFoundError(f"there is no rule {rule_id[:64]!r}: GET /v1/rules lists them")


def load_rules(connection: Connection) -> list[Rule]:
    """Return what is or will be in force, and what was: a retired rule still speaks about its own time."""
    found = [row.rule for row in list_rules(connection) if row.state in ("active", "retired")]
    return [rule for rule in found if rule.from_s < rule.to_s]


def typology_of(known: RuleSet, rule_id: str) -> str:
    """Return the name of a rule's typology, "" for a rule that is not there any more."""
    return next((rule.typology.name for rule in known.rules if rule.rule_id == rule_id), "")


def propose_rule(
    connection: Connection,
    *,
    typology: str,
    parameters: Any,
    jurisdiction: str | None,
    from_s: int | None,
    to_s: int | None,
    reason: str,
    who: str,
    now_ns: int,
) -> RuleRow:
    """Store a draft, which changes nothing yet. `from_s` None: from the activation on. Raise `RejectedError`."""
    if not 0 < len(reason.strip()) <= MAX_REASON_CHARS:
        raise RejectedError(f"a reason has 1 to {MAX_REASON_CHARS} characters")
    drafts = connection.execute(sa.select(sa.func.count()).where(rules.c.state == "draft")).scalar_one()
    if drafts >= MAX_DRAFTS:
        raise RejectedError(f"{drafts} drafts wait for a decision, at most {MAX_DRAFTS} may: decide some")
    made = make_rule("", typology, parameters, jurisdiction, from_s or 0, to_s)
    number = connection.execute(
        sa.select(sa.func.count()).select_from(rules).where(rules.c.typology == typology)
    ).scalar_one()
    rule_id = f"{typology}-{made.typology.version}.{number + 1}"
    connection.execute(
        sa.insert(rules).values(
            rule_id=rule_id,
            typology=typology,
            version=made.typology.version,
            parameters=msgspec.json.encode(made.parameters).decode(),
            jurisdiction=jurisdiction,
            from_s=made.from_s,
            to_s=to_s,
            state="draft",
            reason=reason.strip(),
            proposed_by=who,
            proposed_ns=now_ns,
            changed_version=0,
        )
    )
    return rule_row(connection, rule_id)


def decide_rule(connection: Connection, rule_id: str, *, accept: bool, who: str, now_ns: int) -> RuleRow:
    """Activate a draft, or reject it. A second person activates: raise `RejectedError` for whoever proposed it.

    Of the same typology and jurisdiction the rule in force before ends where this one begins. Raise `ConflictError` if
    it was decided before, `NotFoundError`.
    """
    row = rule_row(connection, rule_id)
    if row.state != "draft":
        raise ConflictError(f"{rule_id} was decided already: it is {row.state}")
    if accept and row.proposed_by == who:
        raise RejectedError("another person than the one who proposed a rule activates it")
    decided = {"decided_by": who, "decided_ns": now_ns, "changed_version": rules_version(connection) + 1}
    if not accept:
        connection.execute(_of(rule_id).values(state="rejected", **decided))
        return rule_row(connection, rule_id)
    from_s = max(row.rule.from_s, now_ns // NS_PER_S + LEAD_S)
    if row.rule.to_s <= from_s:
        raise RejectedError(
            f"{rule_id} would end at {row.rule.to_s}, before it can begin at {from_s}: propose it again"
        )
    for other in list_rules(connection):
        same = other.rule.typology is row.rule.typology and other.rule.jurisdiction == row.rule.jurisdiction
        if same and other.state == "active" and other.rule.to_s > from_s:
            _end(connection, other, max(from_s, other.rule.from_s), decided)
    connection.execute(_of(rule_id).values(state="active", from_s=from_s, **decided))
    RuleSet(load_rules(connection))
    return rule_row(connection, rule_id)


def _end(connection: Connection, row: RuleRow, to_s: int, decided: dict[str, Any]) -> None:
    rule = row.rule
    if not connection.execute(_of(rule.rule_id).values(to_s=to_s, state="retired", **decided)).rowcount:
        connection.execute(
            sa.insert(rules).values(
                rule_id=rule.rule_id,
                typology=rule.typology.name,
                version=rule.typology.version,
                parameters=msgspec.json.encode(rule.parameters).decode(),
                jurisdiction=rule.jurisdiction,
                from_s=rule.from_s,
                to_s=to_s,
                state="retired",
                reason=row.reason,
                proposed_by=row.proposed_by,
                proposed_ns=row.proposed_ns,
                **decided,
            )
        )


def _of(rule_id: str) -> sa.Update:
    return sa.update(rules).where(rules.c.rule_id == rule_id)


def rules_version(connection: Connection) -> int:
    """Return a number that grows whenever what is in force changes."""
    return int(connection.execute(_RULES_VERSION).scalar() or 0)


def rates_version(connection: Connection) -> int:
    """Return a number that grows whenever rates change."""
    return int(connection.execute(_RATES_VERSION).scalar() or 0)


def load_rates(connection: Connection) -> Rates:
    """Return all rates."""
    return Rates(_rate(row) for row in connection.execute(sa.select(rates)))


def list_rates(
    connection: Connection, asset: AssetId | None, limit: int, behind: Sequence[Any] | None = None
) -> list[Rate]:
    """Return rates by asset and time, at most `limit`; `behind` is (asset, from_s) of the last one before."""
    order = (rates.c.asset, rates.c.from_s)
    query = sa.select(rates).where(after(order, behind)).order_by(*order).limit(limit)
    if asset is not None:
        query = query.where(rates.c.asset == asset)
    return [_rate(row) for row in connection.execute(query)]


def store_rates(connection: Connection, new: Sequence[Rate]) -> int:
    """Store rates; one that is there is left as it is. Return how many are new. Raise `ConflictError` if one that is
    there differs: what was evaluated with it would not be what its rate says."""
    version = rates_version(connection) + 1
    known = {(rate.asset, rate.from_s): rate for rate in load_rates(connection)}
    added: list[Rate] = []
    for rate in new:
        had = known.get((rate.asset, rate.from_s))
        if had is None:
            added.append(rate)
        elif (had.minor_units, had.base_units) != (rate.minor_units, rate.base_units):
            raise ConflictError(f"{rate.asset} has another rate from {rate.from_s} on: give the new one a later time")
    rows = [(one.asset, one.from_s, str(one.minor_units), str(one.base_units), one.source, version) for one in added]
    insert_rows(connection, rates, _RATE_COLUMNS, rows)
    return len(added)


def _rate(row: Any) -> Rate:
    return Rate(AssetId(row.asset), row.from_s, int(row.minor_units), int(row.base_units), row.source)


def _row(row: Any) -> RuleRow:
    known = TYPOLOGIES.get(row.typology)
    if known is None:
        raise RejectedError(f"the rule {row.rule_id} is of a typology that this Causeway does not know: {row.typology}")
    rule = make_rule(
        row.rule_id, row.typology, msgspec.json.decode(row.parameters), row.jurisdiction, row.from_s, row.to_s
    )
    return RuleRow(
        rule, row.version, row.state, row.reason, row.proposed_by, row.proposed_ns, row.decided_by, row.decided_ns
    )
