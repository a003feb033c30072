"""Everything Causeway exists for, on real chains, shown as it happens."""

from gateway.demo.run import run_demo

__all__ = ["run_demo"]
