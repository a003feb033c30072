"""Rows as CSV (RFC 4180), JSON Lines and Apache Parquet. Amounts are decimal text in all of them, and so exact."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from core.model.errors import RejectedError


class Writer(Protocol):
    """Takes rows in the order of the columns; `close` gives all that is not yet taken."""

    def write(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return what can be stored already."""

    def close(self) -> bytes:
        """Return the rest of the file."""


class CsvWriter:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns: Sequence[str] | None = columns

    def write(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\r\n")
        if self._columns is not None:
            lines.writerow(self._columns)
            self._columns = None
        lines.writerows(rows)
        return text.getvalue().encode()

    def close(self) -> bytes:
        return self.write(())


class JsonLinesWriter:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def write(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        encode = msgspec.json.encode
        return b"".join(encode(dict(zip(self._columns, row, strict=True))) + b"\n" for row in rows)

    def close(self) -> bytes:
        return b""


class ParquetWriter:
    """Raise `RejectedError` if pyarrow is not installed."""

    def __init__(self, columns: Sequence[str], numbers: frozenset[str]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise RejectedError(
                "Parquet needs pyarrow, which is not installed here: pip install causeway-gateway[parquet], or ask "
                "for csv or jsonl"
            ) from None
        fields = [(name, pyarrow.int64() if name in numbers else pyarrow.string()) for name in columns]
        self._schema = pyarrow.schema(fields)
        self._arrow = pyarrow
        self._file = io.BytesIO()
        self._taken = 0
        self._writer: Any = parquet.ParquetWriter(self._file, self._schema, compression="zstd")

    def write(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        if rows:
            values = zip(zip(*rows, strict=True), self._schema, strict=True)
            columns = [self._arrow.array(column, field.type) for column, field in values]
            self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
        return self._take()

    def close(self) -> bytes:
        self._writer.close()
        return self._take()

    def _take(self) -> bytes:
        """Return what was written since it was last asked."""
        raw = self._file.getvalue()[self._taken :]
        self._taken += len(raw)
        return raw


def writer_of(form: str, columns: Sequence[str], numbers: frozenset[str]) -> Writer:
    """Raise `RejectedError` for Parquet if it cannot be written here."""
    match form:
        case "csv":
            return CsvWriter(columns)
        case "jsonl":
            return JsonLinesWriter(columns)
        case _:
            return ParquetWriter(columns, numbers)
