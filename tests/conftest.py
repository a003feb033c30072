"""Settings of the whole suite."""

import os

# eth-hash would pick a three times slower backend; it decides on first use.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

from hypothesis import HealthCheck, settings

# Two shared cores: a slow example is no finding. Derandomised, so that a red run is red again.
settings.register_profile(
    "causeway",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=100,
)
settings.load_profile("causeway")
