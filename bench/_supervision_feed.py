"""The process that makes the traffic and stores its blocks, and the folder in which a data set is kept.

It is a process of its own so that whoever measures does not hold the traffic. A folder has, for each database, a marker
that says what it holds and by which text of the program, and `sample.json`, from which questions are drawn.
"""

import asyncio
import hashlib
import multiprocessing
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from bench._progress import progress
from bench._supervision_data import Filling
from bench.definitions import Truth, truth_of
from bench.traffic import ASSETS, Plan, Traffic, generate
from core.runtime.database import Database, InlineDatabase, open_database
from core.runtime.garbage import collect_seldom
from core.runtime.statements import PreparedConnection

ROOT: Final = Path(__file__).parent.parent
STORED_BY: Final = ("bench/traffic.py", "bench/_supervision_data.py", "indexer/tables.py", "regulator_api/*/tables.py")
"""The texts by which a data set is what it is: one that others made is made again. What the indexer stores is the same
unless its tables change."""
JUDGED_BY: Final = (
    "regulator_api/rules/*.py",
    "regulator_api/knowledge/*.py",
    "regulator_api/values.py",
    "indexer/projections/*.py",
)
"""The same for what the rules say about it."""
SAMPLED: Final = 20_000
TOGETHER: Final = 20_000
"""Blocks of one transaction while the history is stored: the more, the fewer times each page is written."""
CACHE_KB: Final = 2_000_000
GENERATING_S: Final = 1_800
"""The longest wait for a message of the process."""


class Sampled(msgspec.Struct, frozen=True, array_like=True):
    """A transfer: sender, the sender's asset, block time."""

    account: str
    asset: str
    time_s: int


class Sample(msgspec.Struct, frozen=True):
    """The material of questions: some transfers, the busiest accounts, the number of swaps, the last second."""

    transfers: list[Sampled]
    busy: list[str]
    swaps: int
    end_s: int


class Marker(msgspec.Struct, frozen=True):
    """The contents of a database: a plan's first `blocks` blocks. `figures` were measured while it was made. `rules`:
    the digest of the rules' text that read it, empty if none did."""

    plan: dict[str, Any]
    counts: dict[str, int]
    blocks: int
    whole: bool
    figures: dict[str, Any] = {}
    rules: str = ""


def text_digest(patterns: Sequence[str]) -> str:
    """Return 16 hex digits of a SHA-256 over the files of this program that the patterns name."""
    files = sorted({file for pattern in patterns for file in ROOT.glob(pattern)})
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def plan_of(plan: Plan) -> dict[str, Any]:
    by = text_digest(STORED_BY)
    return {"by": by, "seed": plan.seed, "transfers": plan.transfers, "days": plan.days, "noise": plan.noise}


def read_marker(file: Path, plan: Plan) -> Marker | None:
    """Return what the database next to this marker holds, None unless it is of the plan, and stored as it would be
    now."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Marker)
    except (FileNotFoundError, msgspec.DecodeError):  # broken off while it was written
        return None
    return found if found.plan == plan_of(plan) else None


def read_sample(folder: Path) -> Sample:
    return msgspec.json.decode((folder / "sample.json").read_bytes(), type=Sample)


def sample_of(traffic: Traffic) -> Sample:
    rnd, transfers, names = random.Random(5), traffic.transfers, traffic.accounts
    some = (transfers[rnd.randrange(len(transfers))] for _ in range(SAMPLED))
    taken = [Sampled(names[one.sender], ASSETS[one.chain][0], one.time_s) for one in some]
    busy = [name for name, tags in sorted(traffic.labels.items()) if "exchange" in tags]
    return Sample(taken, busy, len(traffic.swaps), transfers[-1].time_s)


@dataclass(slots=True)
class Feed:
    """The process, to be asked."""

    pipe: Pipe
    blocks: int
    """How many blocks there are."""
    counts: dict[str, int]

    def begin(self) -> None:
        """Drop what the database has, and prepare it."""
        self._ask("begin")

    def skip(self, blocks: int) -> None:
        """Go on behind blocks that are stored."""
        self._ask("skip", blocks)

    def store(self, blocks: int, progress: Callable[[int], None] = lambda _: None, together: int = TOGETHER) -> int:
        """Store the next `blocks` blocks, fewer at the end. Return how many events they have."""
        events = 0
        while blocks > 0:
            stored, more = self._ask("store", min(together, blocks))
            if not stored:
                break
            events, blocks = events + more, blocks - stored
            progress(stored)
        return events

    def truth(self) -> Truth:
        """Return what alerts about the whole traffic are right about."""
        found: Truth = self._ask("truth")
        return found

    def sample(self) -> Sample:
        found: Sample = self._ask("sample")
        return found

    def _ask(self, *words: Any) -> Any:
        self.pipe.send(words)
        if not self.pipe.poll(GENERATING_S):
            raise RuntimeError(f"nothing was answered to {words[0]} in {GENERATING_S} s")
        return self.pipe.recv()


@contextmanager
def feeding(url: str, plan: Plan) -> Iterator[Feed]:
    """The process for one database, which must not be open elsewhere while `begin` runs."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(url, plan, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(GENERATING_S):
            raise RuntimeError(f"no traffic was made in {GENERATING_S} s")
        blocks, counts = ours.recv()
        yield Feed(ours, blocks, counts)
    finally:
        ours.close()
        process.join(60)
        if process.is_alive():
            process.terminate()
            process.join(10)


def _run(url: str, plan: Plan, pipe: Pipe) -> None:
    asyncio.run(_serve(url, plan, pipe))


async def _serve(url: str, plan: Plan, pipe: Pipe) -> None:
    traffic = generate(plan)
    collect_seldom()
    database = _quick(url)
    filling = Filling(database, traffic)
    blocks = filling.blocks()
    counts = {"transfers": len(traffic.transfers), "swaps": len(traffic.swaps), "accounts": len(traffic.accounts)}
    pipe.send((filling.count(), counts))
    try:
        while True:
            pipe.send(await _answer(filling, traffic, blocks, *pipe.recv()))
    except EOFError:
        pass
    finally:
        await database.close()


async def _answer(filling: Filling, traffic: Traffic, blocks: Iterator[Any], word: str, count: int = 0) -> Any:
    match word:
        case "begin":
            await filling.begin()
        case "skip":
            next(islice(blocks, count, count), None)
        case "store":
            part: Sequence[Any] = list(islice(blocks, count))
            if part:
                await filling.store(part)
            return len(part), sum(len(one.block.events) for one in part)
        case "truth":
            return truth_of(traffic)
        case "sample":
            return sample_of(traffic)
    return None


def _quick(url: str) -> Database:
    """SQLite as is good for filling: what a crash leaves is thrown away."""
    if not url.startswith("sqlite:"):
        return open_database(url)

    def connect(engine: sa.Engine) -> PreparedConnection:
        connection = PreparedConnection(engine)
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA synchronous = OFF")
        driver.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        return connection

    return InlineDatabase(url, connect)


def fill(url: str, marker: Path, plan: Plan, title: str, share: tuple[int, int] = (1, 1)) -> Marker:
    """Fill the database with the first part of the plan's blocks (`share`: so many of how many parts)."""
    marker.unlink(missing_ok=True)
    with feeding(url, plan) as feed:
        feed.begin()
        wanted = feed.blocks * share[0] // share[1]
        with progress(title, wanted) as advance:
            feed.store(wanted, advance)
        (marker.parent / "sample.json").write_bytes(msgspec.json.encode(feed.sample()))
        made = Marker(plan_of(plan), feed.counts, wanted, share[0] == share[1])
    marker.write_bytes(msgspec.json.encode(made))
    return made
