"""Lists that others publish, read into statements: the whole list, or a refusal that names the lines.

A list with one line that cannot be read is refused, and the version before it stays in force: half a sanctions list
looks like a list.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.model.errors import RejectedError
from core.model.types import ChainId
from regulator_api.knowledge.formats import ofac, sdn, tagpack
from regulator_api.knowledge.formats.reading import ListFile, ListSettings, Reader
from regulator_api.knowledge.tags import Statement

ListKind = Literal["ofac", "sdn", "tagpack"]
KINDS: Final[Mapping[ListKind, Callable[[ListFile, Reader], None]]] = {
    "ofac": ofac.read,
    "sdn": sdn.read,
    "tagpack": tagpack.read,
}
MAX_LIST_BYTES: Final = 64 * 1024 * 1024
MAX_FILES: Final = 200


@dataclass(frozen=True, slots=True)
class ParsedList:
    """The statements of one version of a list, in the order of the files. `sha256` covers names and contents."""

    statements: tuple[Statement, ...]
    sha256: bytes


def parse_list(
    kind: ListKind, files: Sequence[ListFile], *, published_s: int, also_on: Sequence[ChainId] = (), category: str = ""
) -> ParsedList:
    """Read all files of a list.

    `published_s` is when it was published, from which on its entries count unless they have dates of their own. An
    account of an EVM chain is the same key's on all of them: each is entered for the chains `also_on`, too. `category`
    is for entries that have none. Raise `MalformedListError` with every line that cannot be read (the first
    `MAX_ERRORS`), `RejectedError` for too much of anything.
    """
    if not 0 < len(files) <= MAX_FILES:
        raise RejectedError(f"a list is 1 to {MAX_FILES} files, not {len(files)}")
    size = sum(len(file.content) for file in files)
    if size > MAX_LIST_BYTES:
        raise RejectedError(f"the list has {size} bytes, at most {MAX_LIST_BYTES} are read")
    reader = Reader(ListSettings(published_s, tuple(also_on), category))
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.name):
        digest.update(b"%d:%s%d:" % (len(file.name.encode()), file.name.encode(), len(file.content)) + file.content)
        KINDS[kind](file, reader)
    return ParsedList(reader.finished(), digest.digest())
