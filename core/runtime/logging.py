"""Structured logs: a fixed message, and everything that varies in fields.

    log = get_logger("relayer.pump.execute")
    log.info("effect done", swap=swap_id, kind="claim", tx_hash=tx_hash)

Fields whose name hints at a secret are hidden, as are passwords in URLs; bytes are written as hex. That is a net under
the rule, not the rule: secrets have no `repr` and are not logged.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

HIDDEN: Final = "[hidden]"
MAX_TEXT_CHARS: Final = 2_000
MAX_ITEMS: Final = 50
MAX_NESTING: Final = 4

_SECRET_NAME = re.compile(
    r"(?<!public_)preimage|secret|password|passphrase|private[_-]?key|signing[_-]?key|mnemonic|(?<!public)seed"
    r"|authorization|api[_-]?key|access[_-]?token|cookie|keystore",
    re.IGNORECASE,
)
_URL_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]


def configure_logging(level: Level = "info", form: Format = "json", stream: TextIO | None = None) -> None:
    """Set up the whole process's logs, libraries' included, on `stream` (standard error by default)."""
    target = stream or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=target.isatty())
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _add_source],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries report their routine at INFO (every request, every job); we report ours ourselves.
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))


def get_logger(name: str, **fields: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger that writes `fields` with every message; `name` stands as the field `source`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name, **fields)
    return logger


def _add_source(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["source"] = event["_record"].name
    return event


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that hides secrets and makes every field printable."""
    return {name: HIDDEN if _SECRET_NAME.search(name) else printable(value) for name, value in event.items()}


def printable(value: Any, nesting: int = 0) -> Any:
    """`value` as JSON can hold it: bytes as 0x-hex, secrets hidden, bounded in depth, breadth and length."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _URL_USER.sub(HIDDEN, value)[:MAX_TEXT_CHARS]
    if isinstance(value, bytes | bytearray | memoryview):
        return ("0x" + bytes(value).hex())[:MAX_TEXT_CHARS]
    if nesting < MAX_NESTING and isinstance(value, Mapping):
        return {
            str(name): HIDDEN if _SECRET_NAME.search(str(name)) else printable(inner, nesting + 1)
            for name, inner in list(value.items())[:MAX_ITEMS]
        }
    if nesting < MAX_NESTING and isinstance(value, list | tuple | set | frozenset):
        return [printable(inner, nesting + 1) for inner in list(value)[:MAX_ITEMS]]
    return printable(str(value), nesting)
