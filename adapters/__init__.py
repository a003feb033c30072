"""Chains behind the ports: a package per kind of chain, and what several endpoints or chains need together."""

import sys
from typing import Final

import py_ecc  # noqa: F401 — first, so that what it does to the interpreter is undone below and not done again

RECURSION_LIMIT: Final = 1_000
"""Python's own default. py_ecc, which web3 brings, raises it to 100,000 on import; then a deeply nested JSON document
from any peer overflows the C stack inside the parser and ends the process, where it would raise RecursionError."""

sys.setrecursionlimit(min(RECURSION_LIMIT, sys.getrecursionlimit()))
