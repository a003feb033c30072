"""The former place of `relayer.transactions.records`, for programs that import it; it goes with 0.2."""

import sys

from relayer.transactions import records

sys.modules[__name__] = records
