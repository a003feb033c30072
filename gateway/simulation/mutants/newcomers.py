"""Bugs that somebody else would plant, in what is said, believed and offered; written before any of them was played."""

from typing import Final

from gateway.simulation.mutants.planting import Mutant, plant

NEW: Final[tuple[Mutant, ...]] = (
    plant(
        "preimage-is-logged",
        "The initiator's log shows the preimage while its claim is made, before it is sent.",
        "relayer/pump/acting.py",
        "        preimage = vault.preimage(asked.terms.hashlock)\n",
        "        preimage = vault.preimage(asked.terms.hashlock)\n"
        '        log.info("claims", swap=asked.swap_id, shows=preimage.expose())\n',
    ),
)
