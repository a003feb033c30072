"""`causeway audit …`: check a regulator's audit log, export it, and hold it against what others keep of it."""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from adapters.consortium.messages import write_record
from adapters.registry import ConnectedChain
from core.model.consortium import RecordLeaf, caip_account, decode_leaf
from core.model.errors import FatalError, NotFoundError, RejectedError
from core.model.questions import MAX_LIST_ENTRIES, Anchor, Evidence, ListAnswer, ListQuestion
from core.model.types import ChainId
from core.proofs.evidence import verify
from gateway import wiring
from gateway.config import AnchoringConfig, RegulatorConfig
from gateway.daemons.parts import existing_database
from gateway.sending import send
from gateway.supervision import signing_seed
from regulator_api import audit
from regulator_api.anchoring import Anchorer, AuditAnchor, Write, known_hashes, parse_anchor
from regulator_api.audit import Access, AuditCheck, AuditEntry
from regulator_api.signing import Signer

ABSENT: Final = "causeway regulator run makes it"
PAGE: Final = 1_000
MAX_LINE_BYTES: Final = 64 * 1024
MAX_ANCHORS: Final = 100_000
RECORD: Final = "audit-log"
_KNOWN: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-fA-F]{64})")


Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""As far as columns of the log go."""


class ExportedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an export. Hashes and the signature are hex."""

    seq: Count
    time_ns: Count
    who: str
    method: str
    what: str
    purpose: str
    case_id: str
    request_id: str
    status: Count
    answer_sha256: str
    hash: str
    signature: str | None


def parse_known(texts: Sequence[str]) -> dict[int, bytes]:
    """Hashes that somebody kept, as `Causeway-Audit` gives them: `4711:9f0c…`. Raise `RejectedError`."""
    found: dict[int, bytes] = {}
    for text in texts:
        match = _KNOWN.fullmatch(text.strip())
        if match is None:
            raise RejectedError(f"{text[:80]!a} is not an entry's number and hash, as Causeway-Audit gives them")
        found[int(match[1])] = bytes.fromhex(match[2])
    return found


async def verify_database(
    config: RegulatorConfig, base: Path, known: Mapping[int, bytes], public_keys: Sequence[bytes]
) -> AuditCheck:
    """Walk the log in the database. Raise what opening it raises."""
    async with existing_database(config.database, base, ABSENT) as database:
        return await database.read(lambda connection: audit.verify_audit(connection, known, public_keys))


def verify_file(path: Path, known: Mapping[int, bytes], public_keys: Sequence[bytes]) -> AuditCheck:
    """Walk an export. Raise `RejectedError` for a line that is not an entry."""
    return audit.verify_entries(_lines(path), known, public_keys)


async def export(config: RegulatorConfig, base: Path, write: Callable[[bytes], object]) -> int:
    """Give all entries to `write` as JSON lines, and return how many there are."""
    count = behind = 0
    async with existing_database(config.database, base, ABSENT) as database:
        while entries := await database.read(_page(behind)):
            write(b"".join(line_of(exported(entry)) for entry in entries))
            behind, count = entries[-1].seq, count + len(entries)
    return count


def _page(behind: int) -> Callable[[Any], list[AuditEntry]]:
    return lambda connection: audit.read_entries(connection, behind, PAGE)


def line_of(entry: ExportedEntry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"


def exported(entry: AuditEntry) -> ExportedEntry:
    members = {name: getattr(entry.access, name) for name in Access.__dataclass_fields__}
    return ExportedEntry(
        seq=entry.seq,
        **members | {"answer_sha256": entry.access.answer_sha256.hex()},
        hash=entry.hash.hex(),
        signature=None if entry.signature is None else entry.signature.hex(),
    )


def _lines(path: Path) -> Iterator[AuditEntry]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                yield _entry(line, number, path)
    except OSError as error:
        raise RejectedError(f"{path} cannot be read: {error.strerror or error}") from None


def _entry(line: bytes, number: int, path: Path) -> AuditEntry:
    try:
        if len(line) > MAX_LINE_BYTES:
            raise ValueError("it is too long")
        found = msgspec.json.decode(line, type=ExportedEntry)
        members = {name: getattr(found, name) for name in Access.__dataclass_fields__}
        access = Access(**members | {"answer_sha256": bytes.fromhex(found.answer_sha256)})
        signature = None if found.signature is None else bytes.fromhex(found.signature)
        return AuditEntry(found.seq, access, bytes.fromhex(found.hash), signature)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RejectedError(f"{path} line {number} is not an entry of an audit log: {error}") from None


# --- anchors ---------------------------------------------------------------------------------------------------------


def anchoring_of(config: RegulatorConfig) -> AnchoringConfig:
    """Raise `RejectedError` without one."""
    if config.anchoring is None:
        raise RejectedError("the configuration has no [anchoring]: add the chain that keeps the record")
    return config.anchoring


def record_writer(chain: ConnectedChain, anchoring: AnchoringConfig, seed: bytes) -> Write:
    """Writes versions of the record with the account of the signing key."""
    access, signer = chain.access, chain.signer(seed)

    async def write(document: bytes) -> object:
        transaction = write_record(signer.account, anchoring.namespace, RECORD, document)
        return await send(access.transactions, access.heads, signer, transaction)

    return write


async def anchor_now(config: RegulatorConfig, base: Path) -> AuditAnchor | None:
    """Write the head of the log into the record now; None if the log is empty.

    Raise `RevertedError` if the ledger refuses it: nobody has admitted the account, or the record is another's.
    """
    anchoring, seed = anchoring_of(config), signing_seed(config, base)
    async with _chain(config, anchoring) as chain, existing_database(config.database, base, ABSENT) as database:
        write = record_writer(chain, anchoring, seed)
        return await Anchorer(database, config.name, Signer(seed).public_key, write).anchor_newest()


async def read_anchors(
    config: RegulatorConfig, author: bytes | None, trust: Anchor | None
) -> tuple[dict[int, bytes], int]:
    """Return the hashes that the record's versions keep, by entry number, and how many versions there are.

    With `trust` each version is proven under the reader's own anchor of the chain; without, it is what the
    configuration's endpoints say. `author` is the public key that anchors have to name, if given. Raise
    `NotFoundError` if there is no record, `RejectedError` if a version is not an anchor or not its author's, a
    `ProofError` for a proof that does not hold.
    """
    anchoring = anchoring_of(config)
    async with _chain(config, anchoring, 1 if trust is None else trust.trusted_height) as chain:
        found: list[AuditAnchor] = []
        first, count = 1, 1
        while first <= count:
            if first > MAX_ANCHORS:
                raise RejectedError(f"the record has more than {MAX_ANCHORS} versions")
            last = first + MAX_LIST_ENTRIES - 1
            question = ListQuestion(chain.access.chain, f"records/{anchoring.namespace}/{RECORD}", first, last)
            answer = await _list(chain, question, trust)
            found += [_anchor(entry, chain.access.chain, author) for entry in answer.entries]
            first, count = last + 1, answer.count
    if not found:
        raise NotFoundError(f"{anchoring.chain} has no record {anchoring.namespace}/{RECORD}: nothing was anchored yet")
    return known_hashes(found), count


async def _list(chain: ConnectedChain, question: ListQuestion, trust: Anchor | None) -> ListAnswer:
    if chain.prover is None:
        raise RejectedError(f"{question.chain} proves nothing here")
    evidence: Evidence = await chain.prover.prove(question)
    answer = evidence.answer if trust is None else verify(evidence, trust, int(time.time())).answer
    if not isinstance(answer, ListAnswer) or evidence.question != question:
        raise FatalError("the prover answered another question")
    return answer


def _anchor(entry: bytes, chain: ChainId, author: bytes | None) -> AuditAnchor:
    leaf = decode_leaf(entry, RecordLeaf)
    anchor = parse_anchor(leaf.document)
    if author is not None and anchor.key != author.hex():
        written_by = caip_account(chain, leaf.author)
        raise RejectedError(f"version {leaf.version} of the record is of another log: {written_by} wrote it")
    return anchor


@asynccontextmanager
async def _chain(
    config: RegulatorConfig, anchoring: AnchoringConfig, trusted_height: int = 1
) -> AsyncIterator[ConnectedChain]:
    [wanted] = [one for one in config.chains if one.id == anchoring.chain]
    async with wiring.connected([wanted], trusted_height) as chains:
        yield chains[ChainId(anchoring.chain)]
