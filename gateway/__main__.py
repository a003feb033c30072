"""`python -m gateway`: the same as the console script `causeway`."""

from gateway.cli import main

main()
