"""Both development chains, contracts, funded actors, relayers and a regulator, on one machine, in one directory."""

from typing import TYPE_CHECKING

from core.runtime.lazy import lazily

if TYPE_CHECKING:
    from gateway.devnet.info import DEVNET_FILE, DevnetInfo, load_info
    from gateway.devnet.network import Devnet, DevnetSettings
else:
    __getattr__ = lazily(
        __name__,
        {
            "DEVNET_FILE": "gateway.devnet.info",
            "DevnetInfo": "gateway.devnet.info",
            "load_info": "gateway.devnet.info",
            "Devnet": "gateway.devnet.network",
            "DevnetSettings": "gateway.devnet.network",
        },
    )

__all__ = ["DEVNET_FILE", "Devnet", "DevnetInfo", "DevnetSettings", "load_info"]
