"""Records of ledgers with all their versions: who wrote what, and when. The documents themselves stay on the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from core.model.facts import Block, RecordWritten
from core.model.types import AccountId, BlockRef, ChainId, Height
from indexer.projections.logged import forget_blocks, store_events
from indexer.tables import records


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One version of a record. `digest` is the SHA-256 of its document; `time_s` the block's, in Unix seconds."""

    chain: ChainId
    namespace: str
    key: str
    version: int
    author: AccountId
    digest: bytes
    block: BlockRef
    index: int
    tx_hash: bytes
    time_s: int


def apply(connection: Connection, applied: Sequence[Block]) -> None:
    """Store what these blocks, oldest first, write."""
    store_events(connection, records, applied, RecordWritten, _columns)


def _columns(written: RecordWritten) -> dict[str, Any]:
    return {
        "namespace": written.namespace,
        "record_key": written.key,
        "version": written.version,
        "author": written.author,
        "digest": written.digest,
    }


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, wrote."""
    forget_blocks(connection, records, chain, hashes)


def record_row(row: Any) -> RecordRow:
    """A typed version from a row of `indexer_records`."""
    return RecordRow(
        chain=ChainId(row.chain),
        namespace=row.namespace,
        key=row.record_key,
        version=row.version,
        author=AccountId(row.author),
        digest=bytes(row.digest),
        block=BlockRef(ChainId(row.chain), Height(row.height), bytes(row.block_hash)),
        index=row.event_index,
        tx_hash=bytes(row.tx_hash),
        time_s=row.time_s,
    )
