"""Histories as partitioned Parquet, and rules over such files: the contract that every engine of a cold run shares.

`histories-NN.parquet` holds the subjects of one bucket, one subject's moves together and in order, with everything that
rules read of a move; `manifest.json` names rules, labels, rates and the blocks that the files are as of. Whatever maps
`run_batches` over the buckets and gives the parts to `finish` gets the same alerts, byte for byte.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, RejectedError
from indexer.projections import histories
from regulator_api.rules.catalogue import Rule, RuleSet, make_rule
from regulator_api.rules.history import Seen, Subject
from regulator_api.rules.observation import Alert, Link, Observation, gather
from regulator_api.rules.reading import Knowledge, Reader, as_of
from regulator_api.rules.running import FEW_MOVES, SubjectRun, run_few, run_paths
from regulator_api.rules.store import decode_link, decode_observation, encode

BUCKETS: Final = 16
MAX_BUCKETS: Final = 1_000
PAGE: Final = 500
"""Accounts whose histories are read together."""
BATCH: Final = 50_000
"""Rows of one Arrow batch."""
ROWS: Final = 8_000
"""Rows that wait in memory for each file: all files together have as many as these times the buckets."""
MANIFEST: Final = "manifest.json"
COLUMNS: Final = ("subject", "jurisdiction", *Seen._fields)


class RuleDocument(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    typology: str
    parameters: dict[str, Any]
    jurisdiction: str | None
    from_s: int
    to_s: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of an export, and what rules run over them with."""

    version: Literal[1]
    buckets: Annotated[int, msgspec.Meta(ge=1, le=MAX_BUCKETS)]
    moves: int
    subjects: int
    rules: list[RuleDocument]
    label_version: int
    rates_sha256: str
    complete_since_s: int
    as_of: dict[str, int]
    names: dict[str, str]
    jurisdictions: dict[str, str]


def bucket_of(subject: str, buckets: int) -> int:
    """Return the bucket of a subject, the same on every machine."""
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:4], "big") % buckets


def schema() -> Any:
    """The Arrow schema of the files. Raise `FatalError` if pyarrow is not installed."""
    pa = arrow()
    number, text, tags = pa.int64(), pa.string(), pa.list_(pa.string())
    types = {
        "subject": text, "jurisdiction": text, "time_s": number, "chain": text, "height": number,
        "event_index": pa.int32(), "direction": pa.int8(), "account": text, "other": text, "asset": text,
        "amount": pa.binary(32), "value": number, "kind": pa.int8(), "passage": text, "via": text, "own": tags,
        "tags": tags,
    }  # fmt: skip
    return pa.schema([(name, types[name]) for name in COLUMNS])


def arrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise FatalError("Parquet needs pyarrow: pip install 'causeway-gateway[parquet]'") from None
    return pyarrow


def subjects(connection: Connection, knowledge: Knowledge) -> Iterator[list[str]]:
    """Return the names of all subjects with moves, a page at a time; an entity comes with its first account."""
    after, seen = 0, set[str]()
    while page := histories.all_accounts(connection, after, PAGE):
        after = page[-1][0]
        names = []
        for _, account in page:
            name = knowledge.name_of(account)
            if name != account:
                if name in seen:
                    continue
                seen.add(name)
            names.append(name)
        yield names


def export(
    connection: Connection,
    knowledge: Knowledge,
    folder: Path,
    buckets: int = BUCKETS,
    progress: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Write the histories of all subjects into an empty folder. In one reading transaction.

    Raise `RejectedError` if the folder has files, `FatalError` without pyarrow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise RejectedError(f"{folder} is not empty: name another folder")
    reader = Reader()
    reader.prepare(connection)
    count = moved = 0
    names: dict[str, str] = {}
    jurisdictions: dict[str, str] = {}
    with _Writers(folder, buckets) as writers:
        for page in subjects(connection, knowledge):
            wanted = [name for name in page if not reader.is_keeper(name)]
            for name, moves in reader.load(connection, knowledge, wanted, 0).items():
                jurisdiction = knowledge.jurisdiction_of(name)
                if jurisdiction is not None:
                    jurisdictions[name] = jurisdiction
                for account in knowledge.accounts_of(name):
                    if account != name:
                        names[account] = name
                writers.add(bucket_of(name, buckets), name, jurisdiction, moves)
                moved += len(moves)
            count += len(wanted)
            progress(count)
    manifest = Manifest(
        version=1,
        buckets=buckets,
        moves=moved,
        subjects=count,
        rules=[_document(rule) for rule in knowledge.rules.rules],
        label_version=knowledge.labels.version,
        rates_sha256=knowledge.rates.digest,
        complete_since_s=knowledge.complete_since_s,
        as_of={str(chain): height for chain, height in as_of(connection).items()},
        names=names,
        jurisdictions=jurisdictions,
    )
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest, order="sorted")))
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Raise `RejectedError` if the folder holds no export."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise RejectedError(f"{folder} holds no export of histories: {error}") from None


def bucket_files(folder: Path, manifest: Manifest) -> list[Path]:
    """Return the files of an export. Raise `RejectedError` if one is missing."""
    files = [folder / f"histories-{number:02}.parquet" for number in range(manifest.buckets)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise RejectedError(f"the export in {folder} is not whole: {', '.join(missing)} is missing")
    return files


def rules_of(manifest: Manifest) -> RuleSet:
    """Raise `RejectedError` for a rule that this Causeway does not know."""
    return RuleSet(
        [
            make_rule(one.id, one.typology, one.parameters, one.jurisdiction, one.from_s, one.to_s)
            for one in manifest.rules
        ]
    )


def run_file(file: Path, manifest: Manifest) -> list[bytes]:
    """Run the rules over one bucket: `run_batches` of its file. Raise `RejectedError` for one that is damaged."""
    pa = arrow()
    from pyarrow import parquet

    try:
        return list(run_batches(parquet.ParquetFile(file).iter_batches(BATCH), manifest))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise RejectedError(f"{file} holds no histories: {error}: export them again") from None


def run_batches(batches: Iterable[Any], manifest: Manifest) -> Iterator[bytes]:
    """Run the rules over Arrow batches in which each subject's moves follow one another in order.

    Return observations and links as bytes, for `finish`: what an engine passes between its machines.
    """
    rules = rules_of(manifest)
    one: _Subject | None = None
    shared: dict[tuple[str, ...], frozenset[str]] = {}
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in COLUMNS]
        for subject, jurisdiction, *m in zip(*columns, strict=True):
            if one is None or one.subject.name != subject:
                if one is not None:
                    yield from one.taken()
                one = _Subject(Subject(subject, jurisdiction, manifest.complete_since_s), rules)
            m[8] = int.from_bytes(m[8], "big")
            for place in (13, 14):
                words = tuple(m[place])
                m[place] = shared.setdefault(words, frozenset(words))
            one.step(Seen._make(m))
    if one is not None:
        yield from one.taken()


def finish(parts: Iterable[bytes], manifest: Manifest) -> list[Alert]:
    """Return all alerts, from what `run_batches` gave for every bucket, in any order."""
    observations: list[Observation] = []
    links: list[Link] = []
    for part in parts:
        if part[:1] == b"o":
            observations.append(decode_observation(part[1:]))
        else:
            links.append(decode_link(part[1:]))
    names: Mapping[str, str] = manifest.names
    observations += run_paths(
        links, rules_of(manifest), lambda account: names.get(account, account), manifest.jurisdictions.get
    )
    return gather(observations)


class _Subject:
    """A subject at work: while it has few moves they are kept, so that its run leaves out what finds nothing in so
    few."""

    __slots__ = ("_few", "_rules", "_run", "subject")

    def __init__(self, subject: Subject, rules: RuleSet) -> None:
        self.subject = subject
        self._rules = rules
        self._few: list[Seen] = []
        self._run: SubjectRun | None = None

    def step(self, move: Seen) -> None:
        if self._run is not None:
            self._run.step(move)
            return
        self._few.append(move)
        if len(self._few) > FEW_MOVES:
            run = self._run = SubjectRun(self.subject, self._rules)
            for one in self._few:
                run.step(one)
            self._few = []

    def taken(self) -> Iterator[bytes]:
        """Return what was found, as bytes. No move comes after it."""
        if self._run is None:
            observations, links = run_few(self.subject, self._rules, None, (), self._few)
        else:
            observations, links = self._run.take()
        for one in observations:
            yield b"o" + encode(one)
        for link in links:
            yield b"l" + encode(link)


def _document(rule: Rule) -> RuleDocument:
    return RuleDocument(
        id=rule.rule_id,
        typology=rule.typology.name,
        parameters=msgspec.to_builtins(rule.parameters),
        jurisdiction=rule.jurisdiction,
        from_s=rule.from_s,
        to_s=rule.to_s,
    )


@dataclass(slots=True)
class _Bucket:
    writer: Any
    rows: list[tuple[Any, ...]]


class _Writers:
    """One Parquet file for each bucket, written a batch at a time."""

    def __init__(self, folder: Path, buckets: int) -> None:
        self._folder, self._schema = folder, schema()
        self._buckets: list[_Bucket] = []
        self._count = buckets

    def __enter__(self) -> "_Writers":
        from pyarrow import parquet

        for number in range(self._count):
            file = self._folder / f"histories-{number:02}.parquet"
            self._buckets.append(_Bucket(parquet.ParquetWriter(file, self._schema, compression="zstd"), []))
        return self

    def __exit__(self, *_: object) -> None:
        for bucket in self._buckets:
            self._flush(bucket)
            bucket.writer.close()

    def add(self, number: int, subject: str, jurisdiction: str | None, moves: Sequence[Seen]) -> None:
        bucket = self._buckets[number]
        bucket.rows += (
            (subject, jurisdiction, *m[:8], m.amount.to_bytes(32, "big"), *m[9:13], sorted(m.own), sorted(m.tags))
            for m in moves
        )
        if len(bucket.rows) >= ROWS:
            self._flush(bucket)

    def _flush(self, bucket: _Bucket) -> None:
        if not bucket.rows:
            return
        pa = arrow()
        columns = list(zip(*bucket.rows, strict=True))
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        bucket.writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        bucket.rows.clear()
