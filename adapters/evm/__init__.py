"""Any Ethereum JSON-RPC chain behind the ports.

What programs of others use of it is here by name, and imported when it is asked for: eth_account alone takes half a
second, which a command that signs or reads a key file need not spend.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from adapters.evm.chain import EvmChain, EvmChainSettings, EvmParameters, htlc_code_hash
    from adapters.evm.endpoints import Endpoint
    from adapters.evm.keystore import keystore_signer
    from adapters.evm.names import evm_chain, native_asset, token_account, token_asset
    from adapters.evm.proofs import EvmStateProver, StateProof
    from adapters.evm.signed_locks import PERMIT2, SignedLocks
    from adapters.evm.signing import LocalSigner, development_signer

__all__ = [
    "PERMIT2",
    "Endpoint",
    "EvmChain",
    "EvmChainSettings",
    "EvmParameters",
    "EvmStateProver",
    "LocalSigner",
    "SignedLocks",
    "StateProof",
    "development_signer",
    "evm_chain",
    "htlc_code_hash",
    "keystore_signer",
    "native_asset",
    "token_account",
    "token_asset",
]

_PLACES: Final = {
    "chain": ("EvmChain", "EvmChainSettings", "EvmParameters", "htlc_code_hash"),
    "endpoints": ("Endpoint",),
    "keystore": ("keystore_signer",),
    "names": ("evm_chain", "native_asset", "token_account", "token_asset"),
    "proofs": ("EvmStateProver", "StateProof"),
    "signed_locks": ("PERMIT2", "SignedLocks"),
    "signing": ("LocalSigner", "development_signer"),
}
_MODULES: Final = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module that a public name stands in (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
