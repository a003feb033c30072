"""The SDN list of OFAC itself, as XML (`sdn.xml`): who is listed, and the addresses among their ids.

An id of the type `Digital Currency Address - ETH` is an address; its `sdnEntry` says whose. The list has one date,
that of its publication. Nothing outside the file is read: a document type is refused.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from regulator_api.knowledge.formats.reading import ListFile, Reader
from regulator_api.knowledge.tags import MAX_LABEL_CHARS, SANCTIONED

SOURCE: Final = "OFAC SDN"
CONFIDENCE: Final = 100
MAX_DEPTH: Final = 32
MAX_TEXT_CHARS: Final = 4_096
_TYPE: Final = re.compile(r"Digital Currency Address - ([A-Z0-9]{2,8})")


@dataclass(slots=True)
class _Entry:
    uid: str = ""
    first: str = ""
    last: str = ""
    addresses: list[tuple[int, str, str]] = field(default_factory=list)


class _RefusedError(Exception):
    pass


def read(file: ListFile, reader: Reader) -> None:
    """Enter every address of the file, or faults."""
    listing = _Listing(file, reader)
    try:
        listing.parser.Parse(file.content, True)
    except expat.ExpatError as error:
        reader.fault(file, error.lineno, f"is not well-formed XML: {expat.ErrorString(error.code)}")
    except _RefusedError as error:
        reader.fault(file, listing.parser.CurrentLineNumber, str(error))
    except (LookupError, ValueError):
        reader.fault(file, 1, "names an encoding that is not read here: UTF-8 is")
    else:
        if not listing.is_list:
            reader.fault(file, 1, "is not an SDN list: it has no sdnEntry")


class _Listing:
    """Follows the elements of one file. Names are compared without their namespace, which OFAC has changed before."""

    def __init__(self, file: ListFile, reader: Reader) -> None:
        self._file, self._reader = file, reader
        self._open: list[str] = []
        self._text: list[str] = []
        self._chars = 0
        self._entry: _Entry | None = None
        self._kind, self._number = "", ""
        self.is_list = False
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = _refuse_document_type

    def _start(self, name: str, _: Any) -> None:
        self._open.append(name.rpartition(" ")[2])
        if len(self._open) > MAX_DEPTH:
            raise _RefusedError("is nested too deeply")
        self._text, self._chars = [], 0
        if self._open[-1] == "sdnEntry":
            self._entry, self.is_list = _Entry(), True
        elif self._open[-1] == "id":
            self._kind = self._number = ""

    def _characters(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise _RefusedError(f"a text has more than {MAX_TEXT_CHARS} characters")
        self._text.append(text)

    def _end(self, _: str) -> None:
        name, parent, text = self._open.pop(), self._open[-1] if self._open else "", "".join(self._text).strip()
        self._text, self._chars = [], 0
        if self._entry is None:
            return
        match name, parent:
            case "uid", "sdnEntry":
                self._entry.uid = text
            case "firstName", "sdnEntry":
                self._entry.first = text
            case "lastName", "sdnEntry":
                self._entry.last = text
            case "idType", "id":
                self._kind = text
            case "idNumber", "id":
                self._number = text
            case "id", _:
                if (kind := _TYPE.fullmatch(self._kind)) is not None:
                    self._entry.addresses.append((self.parser.CurrentLineNumber, kind[1], self._number))
            case "sdnEntry", _:
                self._finish(self._entry)
                self._entry = None

    def _finish(self, entry: _Entry) -> None:
        name = " ".join(f"{entry.first} {entry.last}".split())
        shown = "".join(letter for letter in name if letter.isprintable())[:MAX_LABEL_CHARS]
        for line, currency, address in entry.addresses:
            if not shown or not entry.uid.isdigit():
                self._reader.fault(self._file, line, "the entry has no name or no uid")
                return
            self._reader.entry(
                self._file,
                line,
                currency=currency,
                address=address,
                label=shown,
                category=SANCTIONED,
                source=SOURCE,
                confidence=CONFIDENCE,
                entity=f"ofac-{entry.uid[:20]}",
            )


def _refuse_document_type(*_: Any) -> None:
    raise _RefusedError("has a document type, which an SDN list has not")
