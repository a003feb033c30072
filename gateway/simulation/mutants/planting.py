"""How a bug is written down, as a replacement of source text, and planted as its module is imported. No file
changes."""

import importlib.abc
import importlib.machinery
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Edit:
    """In the file at `path`, `old`, which stands there once, becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug: `harm` says in a sentence what it does."""

    name: str
    harm: str
    edits: tuple[Edit, ...]

    @property
    def mark(self) -> str:
        """A short name for these edits, and no others."""
        return sha256(repr(self.edits).encode()).hexdigest()[:12]


def plant(name: str, harm: str, path: str, old: str, new: str) -> Mutant:
    """A bug in one place."""
    return Mutant(name, harm, (Edit(path, old, new),))


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with some of its text replaced, and never from or into a cache."""

    def __init__(self, fullname: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(fullname, path)
        self._edits = edits

    def get_code(self, fullname: str):  # type: ignore[no-untyped-def]
        source = Path(self.path).read_text(encoding="utf-8")
        for edit in self._edits:
            source = replaced(source, edit)
        return self.source_to_code(source.encode(), self.path)


class Planter(importlib.abc.MetaPathFinder):
    """First in `sys.meta_path`: modules that are imported from then on have these edits in them."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._by_path: dict[str, list[Edit]] = {}
        for edit in edits:
            self._by_path.setdefault(str(ROOT / edit.path), []).append(edit)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None):  # type: ignore[no-untyped-def]
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None or found.origin is None or found.origin not in self._by_path:
            return None
        found.loader = _Loader(fullname, found.origin, self._by_path[found.origin])
        return found


def replaced(source: str, edit: Edit) -> str:
    """The source with the edit done. Raise ValueError unless its text stands there exactly once."""
    if source.count(edit.old) != 1:
        raise ValueError(f"{edit.path}: {edit.old!r} stands there {source.count(edit.old)} times, not once")
    return source.replace(edit.old, edit.new)
