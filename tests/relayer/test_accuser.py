"""Double attestations in the blocks of a running ledger: noticed by whoever attests there, and reported once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.consortium import Ed25519Signer, unsigned
from adapters.consortium.attestations import ConsortiumAttestations
from adapters.consortium.chain import ConsortiumChain
from adapters.consortium.members import read_members
from core.model.consortium import AttestHeader, caip_chain
from core.model.facts import SignedAttestation
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, BlockRef, ChainId, Height
from core.runtime.clock import SystemClock
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from gateway.daemons.chain import make_chain_home
from gateway.members import chain_at
from local_chains.consortium.engine.home import load_operator_key
from local_chains.consortium.ledger.bridge import MAX_OPEN_HEIGHTS
from local_chains.consortium.node import ConsortiumNode, Pace
from relayer.bridging import accuser, attestations_seen
from relayer.bridging.accuser import MAX_STRANGERS, Accuser
from relayer.bridging.attestations_seen import MAX_KEPT, note_attestation, seen_attestations
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions.pipeline import Pipeline, PipelinePolicy
from tests.support import eventually

CHAIN, FOREIGN = caip_chain("test-1"), ChainId("eip155:31337")


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    make_chain_home(tmp_path / "home", "test-1", 4, "secp256k1eth", [])
    async with ConsortiumNode(tmp_path / "home", pace=Pace(interval_s=0.1)) as running:

        async def began() -> bool:
            return running.engine.tip.height > 0

        await eventually(began)
        yield running


def votes(name: bytes, *heights: int) -> tuple[AttestHeader, ...]:
    return tuple(AttestHeader(FOREIGN, height, name * 32, 480) for height in heights)


def forgetting(first: int) -> tuple[AttestHeader, ...]:
    """Votes on so many other heights that the ledger takes back the ones before: a second one passes its door then."""
    return votes(b"\x01", *range(first, first + MAX_OPEN_HEIGHTS))


def operator(chain: ConsortiumChain, home: Path, number: int) -> Ed25519Signer:
    signer = Ed25519Signer(CHAIN, load_operator_key(home / f"validators/{number}/operator_key.json").seed)
    chain.learn(signer.public_key)
    return signer


async def attest(chain: ConsortiumChain, signer: Ed25519Signer, *ballots: Sequence[AttestHeader]) -> None:
    """Put a transaction with each ballot into blocks, one after another, all submitted at once."""
    transactions = chain.access.transactions
    sequence = (await transactions.sequences(signer.account)).latest
    signed = []
    for number, messages in enumerate(ballots):
        call = unsigned(CHAIN, signer.account, tuple(messages), "votes")
        request = transactions.assemble(call, sequence + number, None, None)
        signed.append(transactions.attach(request, await signer.sign(request)))
    await asyncio.gather(*(transactions.submit(one) for one in signed))

    async def included() -> bool:
        return (await transactions.outcome(signed[-1].hash)).block is not None

    await eventually(included)


@asynccontextmanager
async def accusing(chain: ConsortiumChain, signer: Ed25519Signer) -> AsyncIterator[tuple[Accuser, InlineDatabase]]:
    """One member's relayer, as far as it attests."""
    database, clock = InlineDatabase(), SystemClock()
    await database.write(create_schema)
    metrics = RelayerMetrics(Metrics())
    board = HeadBoard(chain.access.heads)
    pipeline = Pipeline(database, chain.access, signer, board, clock, PipelinePolicy(), metrics)
    await pipeline.start()
    source = ConsortiumAttestations(chain.rpc, CHAIN)
    try:
        yield Accuser(database, source, chain.access.heads, pipeline, clock), database
    finally:
        await database.close()


async def misbehaved(chain: ConsortiumChain) -> list[tuple[str, str]]:
    return [(one.kind, one.organisation) for one in (await read_members(chain.rpc)).misbehaviour]


async def test_double_attestation_in_blocks_is_reported_once(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with chain_at(node.rpc_url) as chain:
        members = [operator(chain, home, number) for number in range(4)]
        async with accusing(chain, members[0]) as (one, database), accusing(chain, members[1]) as (other, _):
            for watching in (one, other):
                await watching.look()
            await attest(chain, members[3], votes(b"\x01", 40))
            await attest(chain, members[2], votes(b"\x01", 40), forgetting(100), votes(b"\x02", 40))
            for watching in (one, other):
                await watching.look()

            async def reported() -> bool:
                return bool(await misbehaved(chain))

            await eventually(reported)
            assert await misbehaved(chain) == [("double-attestation", "validator-2")]
            # A third block at the height says nothing new; an honest member is nowhere accused.
            await attest(chain, members[2], forgetting(200), votes(b"\x03", 40))
            await one.look()
            accused = sa.select(seen_attestations.c.account).where(seen_attestations.c.accused)
            found = await database.read(lambda connection: connection.execute(accused).scalars().all())
            assert found == [members[2].account]
            assert await misbehaved(chain) == [("double-attestation", "validator-2")]


async def test_double_attestation_is_found_after_a_pause(node: ConsortiumNode, tmp_path: Path) -> None:
    """Both votes while nobody looked, the first one taken back by votes on many other heights."""
    home = tmp_path / "home"
    async with chain_at(node.rpc_url) as chain:
        watching, liar = operator(chain, home, 0), operator(chain, home, 2)
        async with accusing(chain, watching) as (one, _):
            await one.look()
            await attest(chain, liar, votes(b"\x01", 40))
            await attest(chain, liar, forgetting(100))
            await attest(chain, liar, votes(b"\x02", 40))
            await one.look()

            async def reported() -> bool:
                return bool(await misbehaved(chain))

            await eventually(reported)
            assert await misbehaved(chain) == [("double-attestation", "validator-2")]


class Listed:
    """An `AttestationSource` of blocks that a byzantine proposer filled: by accounts of nobody, but for two."""

    def __init__(self, found: Sequence[SignedAttestation]) -> None:
        self.found = found
        self.asked: list[AccountId] = []

    async def attestations(self, first: Height, last: Height) -> Sequence[SignedAttestation]:
        return self.found

    async def attests_for_operator(self, account: AccountId) -> bool:
        self.asked.append(account)
        return account.endswith("operator")

    def accuse(self, first: bytes, second: bytes, sender: AccountId) -> UnsignedTransaction:
        raise AssertionError("nobody attested twice")


async def test_attestations_of_strangers_are_not_kept_and_hide_nobody(node: ConsortiumNode, tmp_path: Path) -> None:
    """A proposer that colludes puts the operator's votes behind those of accounts that nobody knows."""
    async with (
        chain_at(node.rpc_url) as chain,
        accusing(chain, operator(chain, tmp_path / "home", 0)) as (one, database),
    ):
        strangers = [
            seen(7, name, account=f"{number:x}") for number in range(2 * MAX_STRANGERS) for name in (b"a", b"b")
        ]
        source = Listed([seen(7, account="operator"), *strangers, seen(8, account="late operator")])
        one = Accuser(database, source, chain.access.heads, one.pipeline, SystemClock())
        kept = sa.select(seen_attestations.c.account).distinct().order_by(seen_attestations.c.account)

        async def accounts() -> list[str]:
            return [*await database.read(lambda connection: connection.execute(kept).scalars().all())]

        looks = []
        for _ in range(3):
            source.asked.clear()
            await one.look()
            looks.append(len(source.asked))
        assert looks == [MAX_STRANGERS, MAX_STRANGERS, 2]
        assert await accounts() == [f"{CHAIN}:late operator", f"{CHAIN}:operator"]


async def test_known_operators_stand_behind_any_number_of_strangers(
    node: ConsortiumNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuser, "MAX_STRANGERS_OF_BLOCKS", 3)
    async with (
        chain_at(node.rpc_url) as chain,
        accusing(chain, operator(chain, tmp_path / "home", 0)) as (one, database),
    ):
        strangers = [seen(7, account=f"{number:x}") for number in range(6)]
        source = Listed([seen(6, account="operator")])
        one = Accuser(database, source, chain.access.heads, one.pipeline, SystemClock())
        await one.look()
        source.found = [*strangers, seen(7, account="operator")]
        heights = sa.select(seen_attestations.c.height).order_by(seen_attestations.c.height)

        async def noted() -> bool:  # once there are newer blocks
            await one.look()
            return await database.read(lambda connection: connection.execute(heights).scalars().all()) == [6, 7]

        await eventually(noted)
        assert len(source.asked) == 1 + 3, "the operator once, and as many strangers as are kept"


# --- what is kept ------------------------------------------------------------------------------------------------


def seen(height: int, name: bytes = b"a", account: str = "aa", time: int = 12) -> SignedAttestation:
    ref = BlockRef(FOREIGN, Height(height), name * 32)
    return SignedAttestation(AccountId(f"{CHAIN}:{account}"), ref, time, b"signed " + name)


@pytest.mark.parametrize("height", [0, 2**63 - 1])
async def test_earlier_transaction_is_handed_out_until_answered(height: int) -> None:
    database = InlineDatabase()
    await database.write(create_schema)

    def story(connection: Connection) -> None:
        assert note_attestation(connection, seen(height)) is None
        assert note_attestation(connection, seen(height)) is None
        assert note_attestation(connection, seen(height, b"b", account="bb")) is None
        for other in (seen(height, b"b"), seen(height, b"b"), seen(height, time=13)):
            assert note_attestation(connection, other) == b"signed a"
        attestations_seen.mark_accused(connection, seen(height, b"b"))
        assert note_attestation(connection, seen(height, b"c")) is None

    await database.write(story)
    await database.close()


async def test_newest_attestations_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attestations_seen, "MAX_KEPT_OF_ALL", MAX_KEPT + 1)
    database = InlineDatabase()
    await database.write(create_schema)

    def story(connection: Connection) -> None:
        count = sa.select(sa.func.count()).select_from(seen_attestations)
        note_attestation(connection, seen(1, account="bb"))
        note_attestation(connection, seen(2, account="bb"))
        for height in range(MAX_KEPT + 5):
            note_attestation(connection, seen(height))
        assert connection.execute(count).scalar_one() == MAX_KEPT + 2
        assert note_attestation(connection, seen(4, b"b")) is None, "forgotten, and kept now"
        attestations_seen.forget_oldest(connection)
        assert connection.execute(count).scalar_one() == MAX_KEPT + 1
        assert note_attestation(connection, seen(2, b"b", account="bb")) == b"signed a"

    await database.write(story)
    await database.close()
