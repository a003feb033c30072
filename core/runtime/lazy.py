"""Names of a package that are imported once somebody asks for them (PEP 562), so that a command pays for its own work.

if TYPE_CHECKING:
    from relayer.client.api import RelayerApi
else:
    __getattr__ = lazily(__name__, {"RelayerApi": "relayer.client.api"})
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`: each of these names comes from its module, and is kept from then on."""

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
