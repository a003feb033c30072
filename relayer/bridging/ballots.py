"""Ballots of attestors, durably: no account signs two headers for one height, whatever restarts or lies.

Two attestations of one account for different blocks at one height are evidence against its operator
(`core.proofs.equivocation`). So a ballot is written down before it is signed. Plain functions over a `Connection`.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError
from core.model.facts import BlockHeader
from core.model.types import AccountId
from core.runtime.database import METADATA

MAX_KEPT: Final = 1024
"""Ballots of one account about one chain. Once there are so many, nothing below the lowest is signed any more."""

ballots = sa.Table(
    "relayer_ballots",
    METADATA,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("foreign_chain", sa.Text, primary_key=True),
    sa.Column("height", sa.BigInteger, primary_key=True),
    sa.Column("block_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
)
"""`account`: who attests, with the chain that it attests on. `time`: the block's own, in Unix seconds."""
TABLES: Final = (ballots,)

_B: Final = ballots.c
_OF: Final = sa.and_(_B.account == sa.bindparam("of_account"), _B.foreign_chain == sa.bindparam("of_chain"))
_AT: Final = sa.select(_B.block_hash, _B.time).where(_OF, _B.height == sa.bindparam("at_height"))
_KEPT: Final = sa.select(sa.func.count(), sa.func.min(_B.height)).where(_OF)
_FORGET: Final = sa.delete(ballots).where(_OF, _B.height == sa.bindparam("at_height"))


def cast_ballot(connection: Connection, account: AccountId, header: BlockHeader) -> None:
    """Write down that `account` attests this header. Once it returns and is committed, the header may be signed.

    Raise `ConflictError` if the account has attested another block at this height, or may have, so long ago that it is
    not kept.
    """
    of = {"of_account": account, "of_chain": header.chain}
    before = connection.execute(_AT, {**of, "at_height": header.height}).one_or_none()
    if before is not None:
        if (bytes(before.block_hash), before.time) == (header.ref.hash, header.time.seconds):
            return
        raise ConflictError(
            f"{account} has attested block {bytes(before.block_hash).hex()} at height {header.height} of "
            f"{header.chain}: a second one would be evidence against its operator"
        )
    count, lowest = connection.execute(_KEPT, of).one()
    if count >= MAX_KEPT:
        if header.height < lowest:
            raise ConflictError(
                f"height {header.height} of {header.chain} is below {lowest}, the lowest of {account}'s ballots"
            )
        connection.execute(_FORGET, {**of, "at_height": lowest})
    row = {"account": account, "foreign_chain": header.chain, "height": header.height}
    connection.execute(sa.insert(ballots).values(**row, block_hash=header.ref.hash, time=header.time.seconds))
