"""One list on its way in: its statements so far, and its lines that cannot be read."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from core.model.errors import CausewayError, RejectedError
from core.model.types import ChainId
from regulator_api.knowledge.formats.currencies import chain_of_currency
from regulator_api.knowledge.tags import Statement, parsed_statement

MAX_ENTRIES: Final = 500_000
MAX_ERRORS: Final = 50
EVM: Final = "eip155:"


class MalformedListError(RejectedError):
    """Lines of a list cannot be read, so that nothing of it counts. `fields['errors']`: file, line, detail."""

    code = "malformed-list"


@dataclass(frozen=True, slots=True)
class ListFile:
    """One file of a list, as it was given."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ListSettings:
    """See `parse_list`."""

    published_s: int
    also_on: tuple[ChainId, ...]
    category: str


class Reader:
    """Takes entries and faults; `finished` gives the statements, or raises."""

    def __init__(self, settings: ListSettings) -> None:
        self.settings = settings
        self._found: dict[tuple[str, str, str], Statement] = {}
        self._errors: list[dict[str, str | int]] = []
        self._faults = 0

    def fault(self, file: ListFile, line: int, detail: str) -> None:
        self._faults += 1
        if len(self._errors) < MAX_ERRORS:
            self._errors.append({"file": file.name[:128], "line": line, "detail": detail[:256]})

    def entry(
        self,
        file: ListFile,
        line: int,
        *,
        currency: str,
        address: str,
        label: str,
        category: str,
        source: str,
        confidence: int,
        valid_from_s: int | None = None,
        valid_to_s: int | None = None,
        entity: str | None = None,
        jurisdiction: str | None = None,
    ) -> None:
        """Enter one address, on its own chain and on those that it counts for, too."""
        try:
            chain, spelled = chain_of_currency(currency, address)
            chains = [chain, *self.settings.also_on] if chain.startswith(EVM) else [chain]
            for one in dict.fromkeys(chains):
                statement = parsed_statement(
                    subject=f"{one}:{spelled}",
                    label=label,
                    category=category,
                    source=source,
                    confidence=confidence,
                    valid_from_s=self.settings.published_s if valid_from_s is None else valid_from_s,
                    valid_to_s=valid_to_s,
                    jurisdiction=jurisdiction,
                    entity=entity,
                )
                self._keep(statement)
        except CausewayError as error:
            self.fault(file, line, error.message)

    def _keep(self, statement: Statement) -> None:
        """An entry that is there twice is one; of two that differ the more certain one counts."""
        former = self._found.get(statement.key)
        if former is None and len(self._found) >= MAX_ENTRIES:
            raise RejectedError(f"the list has more than {MAX_ENTRIES} entries")
        if former is None or former.confidence < statement.confidence:
            self._found[statement.key] = statement

    def finished(self) -> tuple[Statement, ...]:
        """Every statement. Raise `MalformedListError` if a line could not be read, or there was none at all."""
        if self._faults:
            first = self._errors[0]
            raise MalformedListError(
                f"{self._faults} lines of the list cannot be read, first {first['file']} line {first['line']}: "
                f"{first['detail']}; nothing of it was taken, and the version before stays",
                errors=self._errors,
                lines=self._faults,
            )
        if not self._found:
            raise MalformedListError(
                "the list has no entries, and an empty list would delist everybody: give the whole list", errors=[]
            )
        return tuple(self._found.values())


def day_s(text: str) -> int:
    """Unix seconds at the beginning of a day, `2024-09-27` or a full time with its zone. Raise `RejectedError`."""
    try:
        if len(text) <= 10:
            day = date.fromisoformat(text)
            return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return int(moment.timestamp())
    except (ValueError, OverflowError):
        pass
    raise RejectedError(f"{text[:64]!a} is not a day such as 2024-09-27")
