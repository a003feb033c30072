"""The tables of rules: what they observed, the links they walk, alerts, versions of rules, rates, and cases."""

from typing import Final

import sqlalchemy as sa

from core.runtime.database import METADATA

RULE = sa.String(64)
SUBJECT = sa.String(256)
PASSAGE = sa.String(320)
ANCHOR = sa.String(320)

state = sa.Table(
    "regulator_rules_state",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("agreements_ns", sa.BigInteger, nullable=False),
    sa.Column("label_version", sa.BigInteger, nullable=False),
    sa.Column("rules_version", sa.BigInteger, nullable=False),
    sa.Column("rates_version", sa.BigInteger, nullable=False),
    sa.Column("changed_seq", sa.BigInteger, nullable=False),
    sa.Column("horizon", sa.Text, nullable=False),
    sa.Column("incomplete", sa.Text, nullable=False),
)
"""One row, held until the commit by whoever runs the rules: how far they have read, and with what they know.

`changed_seq` counts changes of alerts. `horizon`: `regulator_api.rules.reading.Horizon`, as JSON. `incomplete`
says why a cold run is needed, empty if none is."""

observations = sa.Table(
    "regulator_observations",
    METADATA,
    sa.Column("subject", SUBJECT, primary_key=True),
    sa.Column("trigger_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("trigger_chain", sa.String(41), primary_key=True),
    sa.Column("trigger_height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("trigger_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("trigger_direction", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("rule", RULE, primary_key=True),
    sa.Column("anchor", ANCHOR, primary_key=True),
    sa.Column("link", PASSAGE, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""`link`: the passage of the link that a path ended in, empty for rules about one subject's moves."""
sa.Index(
    "ix_regulator_observations_link",
    observations.c.link,
    sqlite_where=observations.c.link != "",
    postgresql_where=observations.c.link != "",
)

links = sa.Table(
    "regulator_links",
    METADATA,
    sa.Column("after", PASSAGE, primary_key=True),
    sa.Column("before", PASSAGE, nullable=False),
    sa.Column("subject", SUBJECT, nullable=False),
    sa.Column("left_s", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("ix_regulator_links_before", links.c.before)
sa.Index("ix_regulator_links_subject", links.c.subject, links.c.left_s)

alerts = sa.Table(
    "regulator_alerts",
    METADATA,
    sa.Column("alert_id", sa.String(32), primary_key=True),
    sa.Column("rule", RULE, nullable=False),
    sa.Column("typology", sa.String(32), nullable=False),
    sa.Column("subject", SUBJECT, nullable=False),
    sa.Column("anchor", ANCHOR, nullable=False),
    sa.Column("first_s", sa.BigInteger, nullable=False),
    sa.Column("last_s", sa.BigInteger, nullable=False),
    sa.Column("first", sa.LargeBinary, nullable=False),
    sa.Column("observations", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("withdrawn", sa.Boolean, nullable=False),
    sa.Column("label_version", sa.BigInteger, nullable=False),
    sa.Column("changed_seq", sa.BigInteger, nullable=False),
    sa.Column("found_ns", sa.BigInteger, nullable=False),
)
"""`body` is the last observation. `withdrawn`: a reorg, a late block or a label took the reason away."""
sa.Index("ix_regulator_alerts_time", alerts.c.last_s, alerts.c.alert_id)
sa.Index("ix_regulator_alerts_subject", alerts.c.subject, alerts.c.rule, alerts.c.last_s)
sa.Index("ix_regulator_alerts_changed", alerts.c.changed_seq)

rules = sa.Table(
    "regulator_rules",
    METADATA,
    sa.Column("rule_id", RULE, primary_key=True),
    sa.Column("typology", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("jurisdiction", sa.String(8)),
    sa.Column("from_s", sa.BigInteger, nullable=False),
    sa.Column("to_s", sa.BigInteger),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("proposed_by", sa.String(256), nullable=False),
    sa.Column("proposed_ns", sa.BigInteger, nullable=False),
    sa.Column("decided_by", sa.String(256)),
    sa.Column("decided_ns", sa.BigInteger),
    sa.Column("changed_version", sa.BigInteger, nullable=False),
)
"""`state`: draft, active, retired, rejected. A row's typology, version, parameters and jurisdiction never change."""

rates = sa.Table(
    "regulator_rates",
    METADATA,
    sa.Column("asset", sa.String(256), primary_key=True),
    sa.Column("from_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("minor_units", sa.Text, nullable=False),
    sa.Column("base_units", sa.Text, nullable=False),
    sa.Column("source", sa.String(200), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)

cases = sa.Table(
    "regulator_cases",
    METADATA,
    sa.Column("case_id", sa.String(32), primary_key=True),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("assignee", sa.String(256)),
    sa.Column("opened_by", sa.String(256), nullable=False),
    sa.Column("opened_ns", sa.BigInteger, nullable=False),
    sa.Column("closing_by", sa.String(256)),
    sa.Column("closed_by", sa.String(256)),
    sa.Column("closed_ns", sa.BigInteger),
    sa.Column("outcome", sa.String(32)),
    sa.Column("jurisdiction", sa.String(8)),
    sa.Column("entries", sa.Integer, nullable=False),
)
"""`status`: open, closing (one person proposed to close it), closed."""
sa.Index("ix_regulator_cases_opened", cases.c.opened_ns, cases.c.case_id)

case_entries = sa.Table(
    "regulator_case_entries",
    METADATA,
    sa.Column("case_id", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("who", sa.String(256), nullable=False),
    sa.Column("time_ns", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
)
"""Everything that happened to a case, in order; rows are never changed. `sha256` chains each to the one before."""

case_alerts = sa.Table(
    "regulator_case_alerts",
    METADATA,
    sa.Column("alert_id", sa.String(32), primary_key=True),
    sa.Column("case_id", sa.String(32), nullable=False),
)
sa.Index("ix_regulator_case_alerts_case", case_alerts.c.case_id)

TABLES: Final = (state, observations, links, alerts, rules, rates, cases, case_entries, case_alerts)
