"""Both development chains, contracts, funded actors, relayers and a regulator, on one machine, in one directory."""

from gateway.devnet.info import DEVNET_FILE, DevnetInfo, load_info
from gateway.devnet.network import Devnet, DevnetSettings

__all__ = ["DEVNET_FILE", "Devnet", "DevnetInfo", "DevnetSettings", "load_info"]
