CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT pk_alembic_version PRIMARY KEY (version_num)
);

CREATE TABLE cursors (
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT pk_cursors PRIMARY KEY (name)
);

CREATE TABLE indexer_agreement_legs (
    swap_id VARCHAR(256) NOT NULL,
    role VARCHAR(16) NOT NULL,
    chain VARCHAR(41) NOT NULL,
    asset VARCHAR(256) NOT NULL,
    amount BLOB NOT NULL,
    sender VARCHAR(256) NOT NULL,
    receiver VARCHAR(256) NOT NULL,
    timelock BIGINT NOT NULL,
    CONSTRAINT pk_indexer_agreement_legs PRIMARY KEY (swap_id, role)
);

CREATE TABLE indexer_agreements (
    swap_id VARCHAR(256) NOT NULL,
    hashlock BLOB NOT NULL,
    source VARCHAR(256) NOT NULL,
    reported_ns BIGINT NOT NULL,
    CONSTRAINT pk_indexer_agreements PRIMARY KEY (swap_id)
);

CREATE INDEX ix_indexer_agreements_hashlock ON indexer_agreements (hashlock);

CREATE TABLE indexer_asset_reports (
    asset VARCHAR(256) NOT NULL,
    chain VARCHAR(41) NOT NULL,
    name VARCHAR(128) NOT NULL,
    symbol VARCHAR(128) NOT NULL,
    decimals INTEGER NOT NULL,
    source VARCHAR(16) NOT NULL,
    reported_ns BIGINT NOT NULL,
    CONSTRAINT pk_indexer_asset_reports PRIMARY KEY (asset)
);

CREATE TABLE indexer_assets (
    asset VARCHAR(256) NOT NULL,
    chain VARCHAR(41) NOT NULL,
    first_height BIGINT NOT NULL,
    first_block BLOB NOT NULL,
    issuer VARCHAR(256),
    symbol VARCHAR(128),
    decimals INTEGER,
    defined_block BLOB,
    CONSTRAINT pk_indexer_assets PRIMARY KEY (asset)
);

CREATE TABLE indexer_balances (
    asset VARCHAR(256) NOT NULL,
    account VARCHAR(256) NOT NULL,
    height BIGINT NOT NULL,
    balance TEXT NOT NULL,
    CONSTRAINT pk_indexer_balances PRIMARY KEY (asset, account, height)
)
 WITHOUT ROWID;

CREATE TABLE indexer_blocks (
    chain VARCHAR(41) NOT NULL,
    hash BLOB NOT NULL,
    height BIGINT NOT NULL,
    parent_hash BLOB NOT NULL,
    time_s BIGINT NOT NULL,
    canonical BOOLEAN NOT NULL,
    CONSTRAINT pk_indexer_blocks PRIMARY KEY (chain, hash)
);

CREATE UNIQUE INDEX uq_indexer_blocks_canonical ON indexer_blocks (chain, height) WHERE canonical;

CREATE TABLE indexer_chains (
    chain VARCHAR(41) NOT NULL,
    genesis_hash BLOB NOT NULL,
    start_height BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    detail TEXT NOT NULL,
    head_height BIGINT,
    head_time_s BIGINT,
    observed_ns BIGINT,
    CONSTRAINT pk_indexer_chains PRIMARY KEY (chain)
);

CREATE TABLE indexer_contract_arguments (
    chain VARCHAR(41) NOT NULL,
    block_hash BLOB NOT NULL,
    event_index INTEGER NOT NULL,
    argument VARCHAR(128) NOT NULL,
    value VARCHAR(256) NOT NULL,
    CONSTRAINT pk_indexer_contract_arguments PRIMARY KEY (chain, block_hash, event_index, argument)
);

CREATE INDEX ix_indexer_contract_arguments_value ON indexer_contract_arguments (value, argument);

CREATE TABLE indexer_contract_events (
    chain VARCHAR(41) NOT NULL,
    block_hash BLOB NOT NULL,
    event_index INTEGER NOT NULL,
    contract VARCHAR(256) NOT NULL,
    name VARCHAR(128) NOT NULL,
    height BIGINT NOT NULL,
    CONSTRAINT pk_indexer_contract_events PRIMARY KEY (chain, block_hash, event_index)
);

CREATE INDEX ix_indexer_contract_events_name ON indexer_contract_events (contract, name, height, event_index);

CREATE TABLE indexer_contract_reports (
    contract VARCHAR(256) NOT NULL,
    name VARCHAR(128) NOT NULL,
    CONSTRAINT pk_indexer_contract_reports PRIMARY KEY (contract)
);

CREATE TABLE indexer_contracts (
    chain VARCHAR(41) NOT NULL,
    contract VARCHAR(256) NOT NULL,
    height BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    events BIGINT NOT NULL,
    CONSTRAINT pk_indexer_contracts PRIMARY KEY (chain, contract, height)
)
 WITHOUT ROWID;

CREATE INDEX ix_indexer_contracts_height ON indexer_contracts (chain, height);

CREATE TABLE indexer_cursors (
    chain VARCHAR(41) NOT NULL,
    tip_height BIGINT,
    tip_hash BLOB,
    finalized_height BIGINT,
    finalized_hash BLOB,
    highest BIGINT,
    CONSTRAINT pk_indexer_cursors PRIMARY KEY (chain)
);

CREATE TABLE indexer_deep_reorgs (
    chain VARCHAR(41) NOT NULL,
    seq BIGINT NOT NULL,
    fork_height BIGINT NOT NULL,
    finalized_height BIGINT NOT NULL,
    noticed_ns BIGINT NOT NULL,
    acknowledged_ns BIGINT,
    CONSTRAINT pk_indexer_deep_reorgs PRIMARY KEY (chain, seq)
);

CREATE TABLE indexer_events (
    chain VARCHAR(41) NOT NULL,
    block_hash BLOB NOT NULL,
    event_index INTEGER NOT NULL,
    height BIGINT NOT NULL,
    time_s BIGINT NOT NULL,
    tx_hash BLOB NOT NULL,
    canonical BOOLEAN NOT NULL,
    kind VARCHAR(16) NOT NULL,
    lock_id VARCHAR(256),
    hashlock BLOB,
    asset VARCHAR(256),
    sender VARCHAR(256),
    receiver VARCHAR(256),
    amount BLOB,
    payload TEXT NOT NULL,
    CONSTRAINT pk_indexer_events PRIMARY KEY (chain, block_hash, event_index)
);

CREATE INDEX ix_indexer_events_asset ON indexer_events (asset) WHERE asset IS NOT NULL;

CREATE INDEX ix_indexer_events_hashlock ON indexer_events (hashlock) WHERE hashlock IS NOT NULL;

CREATE INDEX ix_indexer_events_kind ON indexer_events (kind, time_s, chain, height);

CREATE INDEX ix_indexer_events_lock ON indexer_events (chain, lock_id) WHERE lock_id IS NOT NULL;

CREATE TABLE indexer_fact_order (
    id INTEGER NOT NULL,
    last_seq BIGINT NOT NULL,
    CONSTRAINT pk_indexer_fact_order PRIMARY KEY (id)
);

CREATE TABLE indexer_facts (
    seq BIGINT NOT NULL,
    chain VARCHAR(41) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    height BIGINT NOT NULL,
    block_hash BLOB NOT NULL,
    CONSTRAINT pk_indexer_facts PRIMARY KEY (seq)
);

CREATE TABLE indexer_htlc_reports (
    chain VARCHAR(41) NOT NULL,
    since_height BIGINT NOT NULL,
    contract VARCHAR(256) NOT NULL,
    CONSTRAINT pk_indexer_htlc_reports PRIMARY KEY (chain, since_height)
);

CREATE TABLE indexer_locks (
    chain VARCHAR(41) NOT NULL,
    lock_id VARCHAR(256) NOT NULL,
    hashlock BLOB NOT NULL,
    asset VARCHAR(256) NOT NULL,
    amount BLOB NOT NULL,
    sender VARCHAR(256) NOT NULL,
    receiver VARCHAR(256) NOT NULL,
    timelock BIGINT NOT NULL,
    status VARCHAR(16) NOT NULL,
    preimage BLOB,
    lock_tx BLOB NOT NULL,
    lock_block BLOB NOT NULL,
    lock_height BIGINT NOT NULL,
    lock_time_s BIGINT NOT NULL,
    settle_tx BLOB,
    settle_block BLOB,
    settle_height BIGINT,
    settle_time_s BIGINT,
    CONSTRAINT pk_indexer_locks PRIMARY KEY (chain, lock_id)
);

CREATE INDEX ix_indexer_locks_asset ON indexer_locks (asset, status);

CREATE INDEX ix_indexer_locks_hashlock ON indexer_locks (hashlock);

CREATE TABLE indexer_projection_version (
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT pk_indexer_projection_version PRIMARY KEY (id)
);

CREATE TABLE indexer_swaps (
    swap_id VARCHAR(256) NOT NULL,
    hashlock BLOB NOT NULL,
    agreed BOOLEAN NOT NULL,
    source VARCHAR(256),
    status VARCHAR(32) NOT NULL,
    opened_s BIGINT NOT NULL,
    initiator_chain VARCHAR(41),
    initiator_asset VARCHAR(256),
    initiator_lock VARCHAR(256),
    participant_chain VARCHAR(41),
    participant_asset VARCHAR(256),
    participant_lock VARCHAR(256),
    other_locks INTEGER NOT NULL,
    CONSTRAINT pk_indexer_swaps PRIMARY KEY (swap_id)
);

CREATE INDEX ix_indexer_swaps_hashlock ON indexer_swaps (hashlock);

CREATE INDEX ix_indexer_swaps_opened ON indexer_swaps (opened_s, swap_id);

CREATE TABLE journal (
    stream TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    event BLOB NOT NULL,
    recorded_ns BIGINT NOT NULL,
    CONSTRAINT pk_journal PRIMARY KEY (stream, sequence)
);

CREATE TABLE journal_state (
    stream TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    state BLOB NOT NULL,
    CONSTRAINT pk_journal_state PRIMARY KEY (stream)
);

CREATE TABLE outbox (
    "key" TEXT NOT NULL,
    stream TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_ns BIGINT NOT NULL,
    error TEXT,
    settled_ns BIGINT,
    CONSTRAINT pk_outbox PRIMARY KEY ("key")
);

CREATE INDEX ix_outbox_status_due_ns ON outbox (status, due_ns);

CREATE INDEX ix_outbox_stream ON outbox (stream);

CREATE TABLE regulator_audit (
    seq BIGINT NOT NULL,
    time_ns BIGINT NOT NULL,
    who VARCHAR(256) NOT NULL,
    method VARCHAR(16) NOT NULL,
    what TEXT NOT NULL,
    purpose TEXT NOT NULL,
    request_id VARCHAR(64) NOT NULL,
    status INTEGER NOT NULL,
    answer_sha256 BLOB NOT NULL,
    hash BLOB NOT NULL,
    CONSTRAINT pk_regulator_audit PRIMARY KEY (seq)
);

CREATE INDEX ix_regulator_audit_who ON regulator_audit (who, seq);

CREATE TABLE regulator_audit_head (
    id INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    hash BLOB NOT NULL,
    CONSTRAINT pk_regulator_audit_head PRIMARY KEY (id)
);

CREATE TABLE relayer_accounts (
    chain TEXT NOT NULL,
    account TEXT NOT NULL,
    next_sequence BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    CONSTRAINT pk_relayer_accounts PRIMARY KEY (chain, account)
);

CREATE TABLE relayer_locks (
    swap_id TEXT NOT NULL,
    chain TEXT NOT NULL,
    lock_id TEXT NOT NULL,
    CONSTRAINT pk_relayer_locks PRIMARY KEY (swap_id),
    CONSTRAINT uq_relayer_locks_chain_lock_id UNIQUE (chain, lock_id)
);

CREATE TABLE relayer_reports (
    swap_id TEXT NOT NULL,
    body BLOB NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_ns BIGINT NOT NULL,
    reason TEXT,
    CONSTRAINT pk_relayer_reports PRIMARY KEY (swap_id)
);

CREATE INDEX ix_relayer_reports_status_due_ns ON relayer_reports (status, due_ns);

CREATE TABLE relayer_swaps (
    swap_id TEXT NOT NULL,
    hashlock BLOB NOT NULL,
    quote_id TEXT,
    role TEXT NOT NULL,
    phase TEXT NOT NULL,
    done BOOLEAN NOT NULL,
    initiator_chain TEXT NOT NULL,
    participant_chain TEXT NOT NULL,
    initiator_sender TEXT NOT NULL,
    initiator_receiver TEXT NOT NULL,
    lock_until_s BIGINT NOT NULL,
    own_asset TEXT,
    own_amount BLOB,
    own_timelock BIGINT,
    own_funded BOOLEAN NOT NULL,
    initiator_wake BIGINT,
    participant_wake BIGINT,
    initiator_unfinal BIGINT,
    participant_unfinal BIGINT,
    created_ns BIGINT NOT NULL,
    updated_ns BIGINT NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT pk_relayer_swaps PRIMARY KEY (swap_id),
    CONSTRAINT uq_relayer_swaps_hashlock UNIQUE (hashlock),
    CONSTRAINT uq_relayer_swaps_quote_id UNIQUE (quote_id)
);

CREATE INDEX ix_relayer_swaps_done_created_ns ON relayer_swaps (done, created_ns);

CREATE INDEX ix_relayer_swaps_initiator_receiver ON relayer_swaps (initiator_receiver);

CREATE INDEX ix_relayer_swaps_initiator_sender ON relayer_swaps (initiator_sender);

CREATE TABLE relayer_transactions (
    id INTEGER NOT NULL,
    effect_key TEXT NOT NULL,
    chain TEXT NOT NULL,
    account TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    status TEXT NOT NULL,
    summary TEXT NOT NULL,
    body BLOB,
    deadline_ns BIGINT,
    created_ns BIGINT NOT NULL,
    tx_hash BLOB,
    block_height BIGINT,
    block_hash BLOB,
    reverted BOOLEAN NOT NULL,
    reason TEXT,
    told TEXT,
    CONSTRAINT pk_relayer_transactions PRIMARY KEY (id),
    CONSTRAINT uq_relayer_transactions_effect_key UNIQUE (effect_key)
);

CREATE INDEX ix_relayer_transactions_chain_account_sequence ON relayer_transactions (chain, account, sequence);

CREATE INDEX ix_relayer_transactions_status ON relayer_transactions (status);

CREATE TABLE relayer_batch_items (
    effect_key TEXT NOT NULL,
    transaction_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    left_out TEXT,
    CONSTRAINT pk_relayer_batch_items PRIMARY KEY (effect_key),
    CONSTRAINT fk_relayer_batch_items_transaction_id_relayer_transactions FOREIGN KEY(transaction_id) REFERENCES relayer_transactions (id)
);

CREATE INDEX ix_relayer_batch_items_transaction_id ON relayer_batch_items (transaction_id);

CREATE TABLE relayer_transaction_attempts (
    chain TEXT NOT NULL,
    hash BLOB NOT NULL,
    transaction_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    raw BLOB NOT NULL,
    max_fee BLOB,
    priority_fee BLOB,
    expiry_height BIGINT,
    signed_ns BIGINT NOT NULL,
    CONSTRAINT pk_relayer_transaction_attempts PRIMARY KEY (chain, hash),
    CONSTRAINT fk_relayer_transaction_attempts_transaction_id_relayer_transactions FOREIGN KEY(transaction_id) REFERENCES relayer_transactions (id)
);

CREATE INDEX ix_relayer_transaction_attempts_transaction_id ON relayer_transaction_attempts (transaction_id);

CREATE TABLE client_swaps (
    quote_id TEXT NOT NULL,
    hashlock BLOB NOT NULL,
    preimage BLOB NOT NULL,
    quote BLOB NOT NULL,
    swap_id TEXT,
    agreement BLOB,
    created_ns BIGINT NOT NULL,
    PRIMARY KEY (quote_id),
    UNIQUE (hashlock),
    UNIQUE (swap_id)
);

