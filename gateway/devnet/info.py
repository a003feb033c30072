"""`devnet.json`: what a running devnet is made of, for the other commands. Holds throw-away keys: mode 0600."""

from pathlib import Path
from typing import Any, Final

import msgspec

from core.model.errors import RejectedError
from core.model.types import ChainId
from core.runtime.files import replace_file
from gateway.config.model import ChainConfig

DEVNET_FILE: Final = "devnet.json"


class Keys(msgspec.Struct, frozen=True):
    """One actor's private keys, 32 bytes each in hex, and the accounts that they control (CAIP-10)."""

    name: str
    ethereum: str
    consortium: str
    ethereum_account: str
    consortium_account: str

    def __repr__(self) -> str:
        return f"Keys({self.name})"


class DevnetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """URLs and identifiers of a devnet. `regulator_key` reads and asks for evidence; `regulator_tokens` are access
    tokens by role."""

    chains: tuple[ChainConfig, ...]
    relayers: dict[str, str]
    regulator: str
    regulator_key: str
    regulator_tokens: dict[str, str]
    sign_in: str
    """The devnet's own identity provider, at which people sign in to the console."""
    anchor: str
    users: tuple[Keys, ...]
    ether: str
    token: str
    yuan: str
    asker: str
    """A contract on Ethereum that asks questions about the consortium chain, for anybody."""
    officers: dict[str, str]
    """Accounts of a supervisor's officers on the consortium chain; `officers/<name>.json` has the key of each."""

    def chain(self, kind: str) -> ChainConfig:
        return next(chain for chain in self.chains if chain.kind == kind)

    @property
    def ethereum(self) -> ChainId:
        return ChainId(self.chain("evm").id)

    @property
    def consortium(self) -> ChainId:
        return ChainId(self.chain("consortium").id)

    def user(self, name: str) -> Keys:
        """Raise `RejectedError` for somebody who is not there."""
        for user in self.users:
            if user.name == name:
                return user
        raise RejectedError(f"this devnet has no user {name!r}: choose one of {', '.join(u.name for u in self.users)}")

    def asset(self, name: str) -> str:
        """The CAIP-19 id of a devnet's asset by its nickname (eth, usdx, cnyd), or the id itself."""
        return {"eth": self.ether, "usdx": self.token, "cnyd": self.yuan}.get(name.lower(), name)

    def __repr__(self) -> str:
        return f"DevnetInfo({self.ethereum}, {self.consortium})"


def public_view(info: DevnetInfo) -> dict[str, Any]:
    """The document that `causeway up --json` prints: everything but private keys."""
    built = msgspec.to_builtins(info)
    for user in built["users"]:
        del user["ethereum"], user["consortium"]
    return dict(built)


def store_info(directory: Path, info: DevnetInfo) -> None:
    """Write `devnet.json`, readable by this user alone, in one step."""
    replace_file(directory / DEVNET_FILE, msgspec.json.format(msgspec.json.encode(info)))


def load_info(directory: Path) -> DevnetInfo:
    """Raise `RejectedError` if no devnet runs in `directory`."""
    path = directory / DEVNET_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=DevnetInfo)
    except FileNotFoundError:
        raise RejectedError(f"no devnet runs in {directory}: start one with `causeway up`, or name its --dir") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise RejectedError(f"cannot read {path}: {error}") from None
