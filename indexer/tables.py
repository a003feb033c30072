"""The indexer's tables. Facts are append-only; everything else can be built from them again.

Every header and every event that was ever applied stays, with `canonical` saying whether it belongs to the chain as we
follow it now: a consumer that lags behind a reorg still reads what it missed, and a preimage seen in an orphaned block
is still a preimage.
"""

from typing import Final

import sqlalchemy as sa

from core.runtime.columns import Bytes32, BytewiseText, Uint256
from core.runtime.database import METADATA

CHAIN = sa.String(41)
"""A CAIP-2 id: 8 + 1 + 32 characters."""
IDENTIFIER = sa.String(256)

fact_order = sa.Table(
    "indexer_fact_order",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
)
"""One row. Whoever appends facts holds it until the commit, so that `seq` is visible in order and without gaps."""

chains = sa.Table(
    "indexer_chains",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("genesis_hash", sa.LargeBinary, nullable=False),
    sa.Column("start_height", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("head_height", sa.BigInteger),
    sa.Column("head_time_s", sa.BigInteger),
    sa.Column("observed_ns", sa.BigInteger),
)
"""Chains pinned by genesis hash, and what their followers last saw. `observed_ns`: when `head_*` was seen."""

cursors = sa.Table(
    "indexer_cursors",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("tip_height", sa.BigInteger),
    sa.Column("tip_hash", sa.LargeBinary),
    sa.Column("finalized_height", sa.BigInteger),
    sa.Column("finalized_hash", sa.LargeBinary),
    sa.Column("highest", sa.BigInteger),
)
"""The position of each follower. `highest`: the greatest height ever applied; above it no block can be a known one."""

blocks = sa.Table(
    "indexer_blocks",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("parent_hash", sa.LargeBinary, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("canonical", sa.Boolean, nullable=False),
)
sa.Index(
    "uq_indexer_blocks_canonical",
    blocks.c.chain,
    blocks.c.height,
    unique=True,
    sqlite_where=blocks.c.canonical,
    postgresql_where=blocks.c.canonical,
)

CANONICAL_BLOCK: Final = sa.text("indexer_blocks.canonical")
"""The condition as the index has it: SQLAlchemy writes `canonical = 1` for SQLite, which then takes no such index."""

events = sa.Table(
    "indexer_events",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("block_hash", sa.LargeBinary, primary_key=True),
    sa.Column("event_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("tx_hash", sa.LargeBinary, nullable=False),
    sa.Column("canonical", sa.Boolean, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("lock_id", IDENTIFIER),
    sa.Column("hashlock", Bytes32),
    sa.Column("asset", IDENTIFIER),
    sa.Column("sender", IDENTIFIER),
    sa.Column("receiver", IDENTIFIER),
    sa.Column("amount", Uint256),
    sa.Column("payload", sa.Text, nullable=False),
)
"""Typed events. `payload` is JSON of what the columns before it leave out; empty if they say everything."""
sa.Index("ix_indexer_events_kind", events.c.kind, events.c.time_s, events.c.chain, events.c.height)
sa.Index("ix_indexer_events_tx_hash", events.c.tx_hash)
for _name, _columns, _present in (
    ("hashlock", (events.c.hashlock,), events.c.hashlock.is_not(None)),
    ("lock", (events.c.chain, events.c.lock_id), events.c.lock_id.is_not(None)),
    (
        "asset",
        (events.c.asset, events.c.time_s, events.c.chain, events.c.height, events.c.event_index),
        events.c.asset.is_not(None),
    ),
):
    # Most events have no hashlock: a partial index costs them nothing.
    sa.Index(f"ix_indexer_events_{_name}", *_columns, sqlite_where=_present, postgresql_where=_present)

facts = sa.Table(
    "indexer_facts",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("chain", CHAIN, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("block_hash", sa.LargeBinary, nullable=False),
)
"""The log of all chains in one total order: applied, reverted, finalized. Rows are never changed."""

deep_reorgs = sa.Table(
    "indexer_deep_reorgs",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fork_height", sa.BigInteger, nullable=False),
    sa.Column("finalized_height", sa.BigInteger, nullable=False),
    sa.Column("noticed_ns", sa.BigInteger, nullable=False),
    sa.Column("acknowledged_ns", sa.BigInteger),
)
"""Reorgs that replaced blocks that had been called final, first fact of each, until the operator acknowledges them."""

projection_version = sa.Table(
    "indexer_projection_version",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)
"""One row: which version of the code built the projections. None if they were never built."""

locks = sa.Table(
    "indexer_locks",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("lock_height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("lock_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("lock_id", IDENTIFIER, nullable=False),
    sa.Column("hashlock", Bytes32, nullable=False),
    sa.Column("asset", IDENTIFIER, nullable=False),
    sa.Column("amount", Uint256, nullable=False),
    sa.Column("sender", IDENTIFIER, nullable=False),
    sa.Column("receiver", IDENTIFIER, nullable=False),
    sa.Column("timelock", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("preimage", Bytes32),
    sa.Column("lock_tx", sa.LargeBinary, nullable=False),
    sa.Column("lock_block", sa.LargeBinary, nullable=False),
    sa.Column("lock_time_s", sa.BigInteger, nullable=False),
    sa.Column("settle_tx", sa.LargeBinary),
    sa.Column("settle_block", sa.LargeBinary),
    sa.Column("settle_height", sa.BigInteger),
    sa.Column("settle_index", sa.Integer),
    sa.Column("settle_time_s", sa.BigInteger),
)
"""Projection: every lock of the canonical chains and how it ended. A lock is known by where its event stands: whoever
locks chooses the id, and may use it again once the lock is settled (an EVM lane's generations return after 65,536)."""
sa.Index("ix_indexer_locks_lock_id", locks.c.chain, locks.c.lock_id)
sa.Index("ix_indexer_locks_hashlock", locks.c.hashlock)
sa.Index("ix_indexer_locks_settle_height", locks.c.chain, locks.c.settle_height)
sa.Index("ix_indexer_locks_asset", locks.c.asset, locks.c.status)
LOCK_OF_PARTY: Final = sa.text("indexer_locks.lock_index >= 0")
"""The condition of who looks for locks by a party, true of every lock: only a statement that says it may use the
indexes by party. SQLite, which keeps no statistics here, would else take one for as good as the index by hashlock, and
read all locks of a busy account to find one."""
for _name in ("sender", "receiver"):
    _all = locks.c.lock_index >= 0
    sa.Index(f"ix_indexer_locks_{_name}", locks.c[_name], sqlite_where=_all, postgresql_where=_all)

contract_events = sa.Table(
    "indexer_contract_events",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("block_hash", sa.LargeBinary, primary_key=True),
    sa.Column("event_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("contract", IDENTIFIER, nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("height", sa.BigInteger, nullable=False),
)
"""Projection: where the events of configured contracts stand, on the canonical chains."""
sa.Index(
    "ix_indexer_contract_events_name",
    contract_events.c.contract,
    contract_events.c.name,
    contract_events.c.height,
    contract_events.c.event_index,
)

contract_arguments = sa.Table(
    "indexer_contract_arguments",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("block_hash", sa.LargeBinary, primary_key=True),
    sa.Column("event_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("argument", sa.String(128), primary_key=True),
    sa.Column("value", IDENTIFIER, nullable=False),
)
"""Projection: arguments of these events that are single values short enough to search by."""
sa.Index("ix_indexer_contract_arguments_value", contract_arguments.c.value, contract_arguments.c.argument)

balances = sa.Table(
    "indexer_balances",
    METADATA,
    sa.Column("asset", IDENTIFIER, primary_key=True),
    sa.Column("account", IDENTIFIER, primary_key=True),
    sa.Column("height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("balance", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Projection: what an account held of an asset after each block that changed it, in decimal. A hostile token's sums may
leave 256 bits, and an index that does not begin with the chain may see more spent than received."""

assets = sa.Table(
    "indexer_assets",
    METADATA,
    sa.Column("asset", IDENTIFIER, primary_key=True),
    sa.Column("chain", CHAIN, nullable=False),
    sa.Column("first_height", sa.BigInteger, nullable=False),
    sa.Column("first_block", sa.LargeBinary, nullable=False),
    sa.Column("issuer", IDENTIFIER),
    sa.Column("symbol", sa.String(128)),
    sa.Column("decimals", sa.Integer),
    sa.Column("defined_block", sa.LargeBinary),
)
"""Projection: every asset that events name, since when, and how its ledger defined it, if an event says so."""

asset_reports = sa.Table(
    "indexer_asset_reports",
    METADATA,
    sa.Column("asset", IDENTIFIER, primary_key=True),
    sa.Column("chain", CHAIN, nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("symbol", sa.String(128), nullable=False),
    sa.Column("decimals", sa.Integer, nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("reported_ns", sa.BigInteger, nullable=False),
)
"""Names of assets, as somebody reported them; `source` says whom they had asked. Not derived from facts."""

contracts = sa.Table(
    "indexer_contracts",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("contract", IDENTIFIER, primary_key=True),
    sa.Column("height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Projection: how many events of a contract there were after each block that had some, and what it is."""
sa.Index("ix_indexer_contracts_height", contracts.c.chain, contracts.c.height)

htlc_reports = sa.Table(
    "indexer_htlc_reports",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("since_height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("contract", IDENTIFIER, nullable=False),
)
"""Which contract holds a chain's locks, from which block on, as it was configured. Not derived from facts."""

contract_reports = sa.Table(
    "indexer_contract_reports",
    METADATA,
    sa.Column("contract", IDENTIFIER, primary_key=True),
    sa.Column("name", sa.String(128), nullable=False),
)
"""Names of contracts, as configured. Not derived from facts."""

set_aside = sa.Table(
    "indexer_set_aside",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("block_hash", sa.LargeBinary, primary_key=True),
    sa.Column("projection", sa.String(32), primary_key=True),
    sa.Column("event_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
"""A fact that a projection could not digest: an event of a block, or with `event_index` -1 all its work on the block.
The facts are stored all the same. It follows from them and from the code: a rebuild tries again."""

agreements = sa.Table(
    "indexer_agreements",
    METADATA,
    sa.Column("swap_id", IDENTIFIER, primary_key=True),
    sa.Column("hashlock", Bytes32, nullable=False),
    sa.Column("source", IDENTIFIER, nullable=False),
    sa.Column("reported_ns", sa.BigInteger, nullable=False),
)
"""Agreed terms as whoever knows them reported them; `source` says who. Not derived from facts."""
sa.Index("ix_indexer_agreements_hashlock", agreements.c.hashlock)
sa.Index("ix_indexer_agreements_reported", agreements.c.reported_ns, agreements.c.swap_id)

agreement_legs = sa.Table(
    "indexer_agreement_legs",
    METADATA,
    sa.Column("swap_id", IDENTIFIER, primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("chain", CHAIN, nullable=False),
    sa.Column("asset", IDENTIFIER, nullable=False),
    sa.Column("amount", Uint256, nullable=False),
    sa.Column("sender", IDENTIFIER, nullable=False),
    sa.Column("receiver", IDENTIFIER, nullable=False),
    sa.Column("timelock", sa.BigInteger, nullable=False),
)

LEG_OF_PARTY: Final = sa.text("indexer_agreement_legs.timelock >= 0")
"""As `LOCK_OF_PARTY`, of agreed legs."""
for _name in ("sender", "receiver"):
    _all = agreement_legs.c.timelock >= 0
    sa.Index(f"ix_indexer_agreement_legs_{_name}", agreement_legs.c[_name], sqlite_where=_all, postgresql_where=_all)

swaps = sa.Table(
    "indexer_swaps",
    METADATA,
    sa.Column("swap_id", IDENTIFIER, primary_key=True),
    sa.Column("hashlock", Bytes32, nullable=False),
    sa.Column("agreed", sa.Boolean, nullable=False),
    sa.Column("source", IDENTIFIER),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("opened_s", sa.BigInteger, nullable=False),
    sa.Column("initiator_chain", CHAIN),
    sa.Column("initiator_asset", IDENTIFIER),
    sa.Column("participant_chain", CHAIN),
    sa.Column("participant_asset", IDENTIFIER),
    sa.Column("other_locks", sa.Integer, nullable=False),
)
"""Projection: one row per agreement, and one per hashlock whose locks belong to no agreement (`agreed` false)."""
sa.Index("ix_indexer_swaps_hashlock", swaps.c.hashlock)
sa.Index("ix_indexer_swaps_opened", swaps.c.opened_s, swaps.c.swap_id)

accounts = sa.Table(
    "indexer_accounts",
    METADATA,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("account", IDENTIFIER, nullable=False, unique=True),
)
"""A number for each account that ever moved value. Numbers stay, through reorgs and rebuilds."""

asset_numbers = sa.Table(
    "indexer_asset_numbers",
    METADATA,
    sa.Column("asset_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("asset", IDENTIFIER, nullable=False, unique=True),
)
"""A number for each asset that ever moved. As those of accounts."""

moves = sa.Table(
    "indexer_moves",
    METADATA,
    sa.Column("account_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("chain", BytewiseText, primary_key=True),
    sa.Column("height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("direction", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    sa.Column("other_id", sa.Integer),
    sa.Column("asset_id", sa.Integer, nullable=False),
    sa.Column("amount", Uint256, nullable=False),
    sa.Column("tx_hash", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""Projection: value as it moves, two rows a transfer (`indexer.moves`). The key is the order of an account's moves."""

records = sa.Table(
    "indexer_records",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("namespace", IDENTIFIER, primary_key=True),
    sa.Column("record_key", IDENTIFIER, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("event_index", sa.Integer, nullable=False),
    sa.Column("block_hash", sa.LargeBinary, nullable=False),
    sa.Column("tx_hash", sa.LargeBinary, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
    sa.Column("author", IDENTIFIER, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
)
"""Projection: every version of every record of the canonical chains."""
sa.Index("ix_indexer_records_block", records.c.chain, records.c.block_hash)

orders = sa.Table(
    "indexer_orders",
    METADATA,
    sa.Column("chain", CHAIN, primary_key=True),
    sa.Column("height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("order_number", sa.BigInteger, nullable=False),
    sa.Column("step", sa.String(16), nullable=False),
    sa.Column("account", IDENTIFIER, nullable=False),
    sa.Column("officer", IDENTIFIER, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("case_digest", sa.LargeBinary, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
    sa.Column("renews", sa.BigInteger, nullable=False),
    sa.Column("block_hash", sa.LargeBinary, nullable=False),
    sa.Column("tx_hash", sa.LargeBinary, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
)
"""Projection: every half of every hold order of the canonical chains."""
sa.Index("ix_indexer_orders_account", orders.c.account, orders.c.height, orders.c.event_index)
sa.Index("ix_indexer_orders_block", orders.c.chain, orders.c.block_hash)

TABLES: Final = (
    fact_order,
    chains,
    cursors,
    blocks,
    events,
    facts,
    deep_reorgs,
    projection_version,
    locks,
    contract_events,
    contract_arguments,
    balances,
    assets,
    asset_reports,
    contracts,
    htlc_reports,
    contract_reports,
    set_aside,
    agreements,
    agreement_legs,
    swaps,
    accounts,
    asset_numbers,
    moves,
    records,
    orders,
)
