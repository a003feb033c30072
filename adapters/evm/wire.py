"""JSON-RPC 2.0 answers as servers write them, which is not always as the specification has it."""

from typing import Any, Final

import msgspec


class RpcAnswer(msgspec.Struct):
    """One JSON-RPC response; `result` stays undecoded until its type is known.

    `error` is an object by JSON-RPC 2.0; some nodes give a sentence.
    """

    id: int | float | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


NO_JSON: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
"""Also what is nested deeper than a decoder follows."""
_answers: Final[msgspec.json.Decoder[list[RpcAnswer] | RpcAnswer]] = msgspec.json.Decoder(list[RpcAnswer] | RpcAnswer)


def refuses(answers: list[RpcAnswer] | RpcAnswer) -> bool:
    """Return true if a body says in JSON-RPC what its HTTP status says."""
    return any(one.error is not None for one in ([answers] if isinstance(answers, RpcAnswer) else answers))


def is_one_refusal(answers: list[RpcAnswer]) -> bool:
    """Return true if a list refuses the whole batch: its one entry belongs to no call (JSON-RPC 2.0 section 6)."""
    return len(answers) == 1 and answers[0].error is not None and number_of(answers[0].id) is None


def number_of(value: Any) -> int | None:
    """An id or a code as numbers, which some servers write as texts or with a point."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    return None


def decoded(raw: bytes) -> list[RpcAnswer] | RpcAnswer:
    """The answers in a body. Raise one of `NO_JSON` if it holds none."""
    return _answers.decode(raw)
