"""Whoever holds an account shows it: a challenge of this relayer, once, signed by the account's key.

A challenge is kept until it is used or `CHALLENGE_S` are over, and is good for one act. It binds the relayer and the
account, so that nobody else can have it signed for themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError, TooManyError
from core.model.openings import Access
from core.model.ports import OpeningProofs
from core.model.transactions import Consent
from core.model.types import AccountId, ChainId, chain_of
from core.runtime.clock import Clock, SecretSource
from core.runtime.database import METADATA, Database

CHALLENGE_BYTES: Final = 32
CHALLENGE_S: Final = 300
MAX_CHALLENGES: Final = 10_000
MAX_CHALLENGES_OF_A_CALLER: Final = 20

challenges = sa.Table(
    "relayer_challenges",
    METADATA,
    sa.Column("challenge", sa.LargeBinary, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("expires_s", sa.BigInteger, nullable=False, index=True),
)

TABLES: Final = (challenges,)
_C: Final = challenges.c


class SigningChain(Protocol):
    """The part of a chain whose accounts sign statements. A `ChainAccess` has it."""

    @property
    def openings(self) -> OpeningProofs | None: ...


@dataclass(frozen=True, slots=True)
class Challenge:
    """The statement that the account has to sign, and the message that a wallet or a key signs for it."""

    access: Access
    message: Consent


class Accesses:
    """The challenges of one relayer. `quote_key` is bound into them."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, SigningChain],
        quote_key: bytes,
        clock: Clock,
        secrets: SecretSource,
    ) -> None:
        self._database = database
        self._chains = chains
        self._key = quote_key
        self._clock = clock
        self._secrets = secrets

    async def challenge(self, account: AccountId, caller: str) -> Challenge:
        """Raise `NotFoundError` for an account on another chain, `TooManyError` if the caller has many open."""
        proofs = self._proofs(account)
        now_s = int(self._clock.now())
        access = Access(account, self._key, self._secrets.token_bytes(CHALLENGE_BYTES), now_s + CHALLENGE_S)
        await self._database.write(lambda c: _store(c, access, caller, now_s))
        return Challenge(access, proofs.message(access))

    async def check(self, account: AccountId, challenge: bytes, proof: bytes) -> None:
        """Return if this is the account's signature over a challenge of ours, which is then used up.

        Raise `RejectedError` for any other, and for a challenge that is unknown, used or too old.
        """
        proofs = self._proofs(account)
        expires_s = await self._database.read(lambda c: _open(c, challenge, account, int(self._clock.now())))
        await proofs.check(Access(account, self._key, challenge, expires_s), proof)
        if not await self._database.write(lambda c: _use(c, challenge)):
            raise _unknown()

    def _proofs(self, account: AccountId) -> OpeningProofs:
        chain = self._chains.get(chain_of(account))
        if chain is None or chain.openings is None:
            raise NotFoundError(f"accounts on {chain_of(account)} sign nothing here: /v1/chains lists the chains")
        return chain.openings


def _store(connection: Connection, access: Access, caller: str, now_s: int) -> None:
    connection.execute(sa.delete(challenges).where(_C.expires_s < now_s))
    counted = sa.select(sa.func.count()).select_from(challenges)
    for bound, where in ((MAX_CHALLENGES_OF_A_CALLER, _C.caller == caller), (MAX_CHALLENGES, sa.true())):
        if connection.execute(counted.where(where)).scalar_one() >= bound:
            raise TooManyError(f"{bound} challenges wait already: sign one", retry_after_s=CHALLENGE_S)
    values = {"challenge": access.challenge, "account": access.account, "caller": caller}
    connection.execute(sa.insert(challenges), {**values, "expires_s": access.expires_at})


def _open(connection: Connection, challenge: bytes, account: AccountId, now_s: int) -> int:
    """Return until when it is good. Raise `RejectedError`."""
    ours = (_C.challenge == challenge) & (_C.account == account) & (_C.expires_s >= now_s)
    found = connection.execute(sa.select(_C.expires_s).where(ours)).scalar()
    if found is None:
        raise _unknown()
    return int(found)


def _use(connection: Connection, challenge: bytes) -> bool:
    """Return true for the one who uses it."""
    return connection.execute(sa.delete(challenges).where(_C.challenge == challenge)).rowcount == 1


def _unknown() -> RejectedError:
    return RejectedError("the challenge is unknown, used or too old: ask for a new one", field="challenge")
