"""A peer that nests its JSON deeply gets an error, and does not end the process."""

import subprocess
import sys

PROGRAM = """
import sys
import adapters.evm, adapters.registry
import eth_account, web3
import msgspec
assert sys.getrecursionlimit() <= adapters.RECURSION_LIMIT, sys.getrecursionlimit()
try:
    msgspec.json.decode(b"[" * 1_000_000)
except RecursionError:
    print("survived")
"""


def test_no_import_takes_the_stack_guard_away() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.strip() == "survived", (ran.returncode, ran.stderr[-500:])
