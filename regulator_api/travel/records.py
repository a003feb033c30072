"""Travel-rule records in the database: identities sealed, so that who reads the database learns no names.

The identities are in a box that the supervision's key alone opens (X25519, libsodium sealed boxes), and if the sender
names the receiving institution's key, in a second one for it. What is in the clear is the transfer, the two accounts
and what `ivms101.masked` leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox
from nacl.signing import SigningKey
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RejectedError
from core.model.types import AccountId
from core.runtime.database import METADATA
from core.runtime.web import after
from regulator_api.access.scope import Scope
from regulator_api.knowledge import tables
from regulator_api.travel.ivms101 import IdentityPayload, masked

MAX_RECORDS_OF_A_TRANSFER: Final = 16

travel_records = sa.Table(
    "regulator_travel_records",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("transfer", sa.String(256), nullable=False),
    sa.Column("originator", sa.String(256), nullable=False),
    sa.Column("beneficiary", sa.String(256), nullable=False),
    sa.Column("reporter", sa.String(256), nullable=False),
    sa.Column("time_ns", sa.BigInteger, nullable=False),
    sa.Column("masked", sa.LargeBinary, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("sealed_for_receiver", sa.LargeBinary),
)
sa.Index("ix_regulator_travel_records_transfer", travel_records.c.transfer)

TABLES: Final = (travel_records,)


@dataclass(frozen=True, slots=True)
class TravelRecord:
    """A record as it is kept. `transfer` is `<chain>:<transaction hash>`, the accounts are CAIP-10."""

    id: int
    transfer: str
    originator: AccountId
    beneficiary: AccountId
    reporter: str
    time_ns: int
    masked: dict[str, list[str]]
    sealed: bytes
    sealed_for_receiver: bytes | None


class Vault:
    """Seals identities, and opens them. `seed` is that of the supervision's signing key."""

    def __init__(self, seed: bytes) -> None:
        private = SigningKey(seed).to_curve25519_private_key()
        self.public_key = bytes(private.public_key)
        self._box = SealedBox(private)

    def __repr__(self) -> str:
        return f"Vault({self.public_key.hex()})"

    def open(self, sealed: bytes) -> IdentityPayload:
        """Raise `ConflictError` if the box is not of this key, or was changed."""
        try:
            return msgspec.json.decode(self._box.decrypt(sealed), type=IdentityPayload)
        except (CryptoError, msgspec.MsgspecError) as error:
            raise ConflictError("the record cannot be opened: it was sealed for another key, or changed") from error


def sealed_for(public_key: bytes, payload: IdentityPayload) -> bytes:
    """Return the identities in a box that the holder of this X25519 key opens. Raise `RejectedError` for a bad key."""
    try:
        return SealedBox(PublicKey(public_key)).encrypt(msgspec.json.encode(payload))
    except (CryptoError, ValueError, TypeError) as error:
        raise RejectedError("the receiver's key is not an X25519 public key of 32 bytes") from error


def store_record(
    connection: Connection,
    transfer: str,
    originator: AccountId,
    beneficiary: AccountId,
    payload: IdentityPayload,
    vault_key: bytes,
    receiver_key: bytes | None,
    *,
    reporter: str,
    now_ns: int,
) -> int:
    """Keep a record, and return its number. Raise `ConflictError` if the transfer has too many."""
    count = connection.execute(
        sa.select(sa.func.count()).where(travel_records.c.transfer == transfer, travel_records.c.reporter == reporter)
    ).scalar_one()
    if count >= MAX_RECORDS_OF_A_TRANSFER:
        raise ConflictError(f"{MAX_RECORDS_OF_A_TRANSFER} records of this transfer are from you already")
    made: Any = connection.execute(
        sa.insert(travel_records).values(
            transfer=transfer,
            originator=originator,
            beneficiary=beneficiary,
            reporter=reporter,
            time_ns=now_ns,
            masked=msgspec.json.encode(masked(payload)),
            sealed=sealed_for(vault_key, payload),
            sealed_for_receiver=None if receiver_key is None else sealed_for(receiver_key, payload),
        )
    )
    return int(made.inserted_primary_key[0])


def read_records(
    connection: Connection,
    scope: Scope,
    known_ns: int,
    limit: int,
    before: int | None = None,
    *,
    transfer: str | None = None,
    account: str | None = None,
    only: int | None = None,
) -> list[TravelRecord]:
    """Return records, newest first, of which the scope sees one of the accounts."""
    table = travel_records
    query = sa.select(table).where(after([table.c.id], None if before is None else [before], descending=True))
    if scope.jurisdictions is not None:
        parties = (table.c.originator, table.c.beneficiary)
        query = query.where(sa.or_(*(tables.belongs(one, scope.jurisdictions, known_ns) for one in parties)))
    if transfer is not None:
        query = query.where(table.c.transfer == transfer)
    if account is not None:
        query = query.where(sa.or_(table.c.originator == account, table.c.beneficiary == account))
    if only is not None:
        query = query.where(table.c.id == only)
    rows: Sequence[Any] = connection.execute(query.order_by(table.c.id.desc()).limit(limit)).all()
    return [_record(row) for row in rows]


def _record(row: Any) -> TravelRecord:
    return TravelRecord(
        id=row.id,
        transfer=row.transfer,
        originator=row.originator,
        beneficiary=row.beneficiary,
        reporter=row.reporter,
        time_ns=row.time_ns,
        masked=msgspec.json.decode(bytes(row.masked), type=dict[str, list[str]]),
        sealed=bytes(row.sealed),
        sealed_for_receiver=None if row.sealed_for_receiver is None else bytes(row.sealed_for_receiver),
    )
