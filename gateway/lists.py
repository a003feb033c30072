"""`causeway regulator lists …`: published lists into a regulator's database, whether its daemon runs or not."""

import getpass
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.model.identifiers import parse_chain
from core.model.types import ChainId
from core.runtime.clock import NS_PER_S
from core.runtime.database import Database
from core.runtime.files import read_small
from gateway.config import RegulatorConfig
from gateway.config.chains import EVM
from gateway.config.faults import choices
from gateway.daemons.parts import own_database
from regulator_api.knowledge import store
from regulator_api.knowledge.formats import KINDS, MAX_FILES, MAX_LIST_BYTES, ListKind, ParsedList, parse_list
from regulator_api.knowledge.formats.reading import ListFile, day_s
from regulator_api.knowledge.store import ListDiff, ListVersion
from regulator_api.knowledge.tags import Statement, parsed_word

ENDINGS: Final = {"ofac": (".json",), "sdn": (".xml",), "tagpack": (".yaml", ".yml")}
MAX_SHOWN: Final = 20
"""Statements of each kind of change that are printed."""

T = TypeVar("T")


def read_list(
    config: RegulatorConfig,
    kind: str,
    paths: Sequence[Path],
    published: str | None,
    chains: Sequence[str],
    category: str | None,
) -> tuple[ParsedList, int]:
    """Read files, and folders of files, as one list; return it and when it was published, in Unix seconds.

    `chains` are the EVM chains on which its accounts of Ethereum count, too; those of the configuration by default.
    Raise `RejectedError` for files that cannot be read, with every line that is wrong.
    """
    if kind not in KINDS:
        raise RejectedError(f"{kind[:32]!a} is not a kind of lists: {choices(kind, KINDS)}")
    files = _files(kind, paths)
    published_s = int(time.time()) if published is None else day_s(published)
    also_on = [parse_chain(one) for one in chains] or [ChainId(one.id) for one in config.chains if one.kind == EVM]
    word = "" if category is None else parsed_word(category, "a category")
    known = cast(ListKind, kind)
    return parse_list(known, files, published_s=published_s, also_on=also_on, category=word), published_s


def _files(kind: str, paths: Sequence[Path]) -> list[ListFile]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(one for one in path.iterdir() if one.suffix in ENDINGS[kind]) if path.is_dir() else [path]
        if not inside:
            raise RejectedError(f"{path} has no files that end with {' or '.join(ENDINGS[kind])}")
        found += inside
    if len(found) > MAX_FILES:
        raise RejectedError(f"these are {len(found)} files, a list has at most {MAX_FILES}")
    return [ListFile(one.name, read_small(one, MAX_LIST_BYTES, "a list")) for one in found]


async def take_list(
    config: RegulatorConfig,
    base: Path,
    name: str,
    kind: str,
    parsed: ParsedList,
    published_s: int,
    corrects: bool = False,
    shrinks: bool = False,
) -> tuple[ListVersion, ListDiff]:
    """Make it the list's newest version. Raise what `store.import_list` raises."""
    who = f"{getpass.getuser()} (command line)"

    def write(connection: Connection) -> tuple[ListVersion, ListDiff]:
        return store.import_list(
            connection,
            name,
            kind,
            parsed.statements,
            sha256=parsed.sha256,
            published_s=published_s,
            who=who,
            now_ns=time.time_ns(),
            corrects=corrects,
            shrinks=shrinks,
        )

    async with own_database(config.database, base) as database:
        return await database.write(write)


async def compare_list(config: RegulatorConfig, base: Path, name: str, parsed: ParsedList, corrects: bool) -> ListDiff:
    """Return what taking it would change."""
    async with own_database(config.database, base) as database:
        return await database.read(lambda connection: store.diff_list(connection, name, parsed.statements, corrects))


async def show_lists(config: RegulatorConfig, base: Path, limit: int) -> list[ListVersion]:
    """Return the newest label versions, newest first."""
    async with own_database(config.database, base) as database:
        return await database.read(lambda connection: store.list_versions(connection, limit))


async def show_changes(config: RegulatorConfig, base: Path, version: int, limit: int) -> list[dict[str, Any]]:
    """Return what a label version changed, at most `limit`. Raise `NotFoundError`."""

    async def read(database: Database) -> list[dict[str, Any]]:
        changes = await database.read(lambda connection: store.differences(connection, version, limit))
        return [{"change": change, **statement_to_json(tag)} for change, tag in changes]

    async with own_database(config.database, base) as database:
        return await read(database)


def version_to_json(made: ListVersion) -> dict[str, Any]:
    members = {name: getattr(made, name) for name in ListVersion.__dataclass_fields__}
    known = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made.known_ns // NS_PER_S))
    return members | {"sha256": made.sha256.hex(), "known": known}


def diff_to_json(diff: ListDiff) -> dict[str, Any]:
    """All counts, and the first statements of each kind of change."""
    shown = {"added": diff.added, "changed": diff.changed, "removed": diff.removed}
    return {
        name: {"count": len(found), "first": [statement_to_json(one) for one in found[:MAX_SHOWN]]}
        for name, found in shown.items()
    }


def statement_to_json(statement: Statement) -> dict[str, Any]:
    return {name: getattr(statement, name) for name in Statement.__dataclass_fields__}
