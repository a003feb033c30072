"""Structured logs: a fixed message, and everything that varies in fields.

    log = get_logger("relayer.pump.execute")
    log.info("effect done", swap=swap_id, kind="claim", tx_hash=tx_hash)

Fields whose name hints at a secret are hidden, as are passwords in URLs; bytes are written as hex. That is a net under
the rule, not the rule: secrets have no `repr` and are not logged.

A process that never calls `configure_logging`, such as a dApp that uses the client, gets these messages from Python's
own `logging`, under the logger `causeway`: nothing is shown unless the dApp asks for it there.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO, get_args

import structlog

from core.runtime.repeats import Repeats

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
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
LIBRARY: Final = "causeway"
"""The logger of Python's `logging` that has our messages in a process that did not ask for ours."""

_counting: Final = [Repeats()]

logging.getLogger(LIBRARY).addHandler(logging.NullHandler())


def configure_logging(level: Level = "info", form: Format = "json", stream: TextIO | None = None) -> None:
    """Set up the whole process's logs, libraries' included, on `stream` (standard error by default).

    What is said again and again is counted (`core.runtime.repeats`), and `sum_up` shows it.
    """
    target = stream or sys.stderr
    repeats = _counting[0] = Repeats()
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
            repeats,
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
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
    logging.getLogger().handlers = [handler]
    set_level(level)


def sum_up(*, everything: bool = False) -> None:
    """Log what was counted and has not come again for a while; at the end of a process, `everything` that was."""
    for line in _counting[0].sum_up(everything=everything):
        get_logger("core.runtime.logging").info("said again", **line)


def set_level(level: Level) -> None:
    """Log from this level on, in the form and to the stream that were configured."""
    least = getattr(logging, level.upper())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(least))
    # Libraries report their routine at INFO (every request, every job); we report ours ourselves.
    logging.getLogger().setLevel(max(logging.WARNING, least))


def get_logger(name: str, **fields: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger that writes `fields` with every message; `name` stands as the field `source`."""
    if not structlog.is_configured():
        _leave_to_python()
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name, source=name, **fields)
    return logger


def _leave_to_python() -> None:
    """Structlog itself would print to standard output, which belongs to the program that imports us."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            redact,
            _as_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda name="", *_: logging.getLogger(f"{LIBRARY}.{name}" if name else LIBRARY),
        cache_logger_on_first_use=False,
    )


def _as_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    """One line for Python's `logging`, whose own fields have names that ours may have."""
    message, source = event.pop("event", ""), event.pop("source", "")
    text = " ".join([str(message), *(f"{name}={value}" for name, value in event.items())])
    return (text,), {"extra": {"causeway_source": source}}


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
