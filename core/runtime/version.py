"""The version of this installation, from the package's own metadata: `pyproject.toml` is the one place that has it."""

from importlib.metadata import version
from typing import Final

VERSION: Final = version("causeway-gateway")
