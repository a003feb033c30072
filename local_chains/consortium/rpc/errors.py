"""JSON-RPC errors as CometBFT words them (CometBFT `rpc/jsonrpc/types`)."""

from typing import Any, Final

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

_MESSAGES: Final = {
    PARSE_ERROR: "Parse error. Invalid JSON",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
}


class RpcError(Exception):
    """An error answer. `data` is the sentence; the message goes with the code."""

    def __init__(self, code: int, data: str) -> None:
        super().__init__(data)
        self.code = code
        self.data = data

    def to_json(self) -> dict[str, Any]:
        sentence = {"data": self.data} if self.data else {}
        return {"code": self.code, "message": _MESSAGES[self.code], **sentence}


def internal(data: str) -> RpcError:
    """Return CometBFT's answer when a method fails, whoever's fault it is."""
    return RpcError(INTERNAL_ERROR, data)


def invalid_params(data: str) -> RpcError:
    return RpcError(INVALID_PARAMS, data)
