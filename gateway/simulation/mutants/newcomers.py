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
    plant(
        "seen-locks-reserve",
        "A lock that is not final makes an opening without a proof of funds keep inventory from others.",
        "relayer/inventory.py",
        "self.funded or self.verified or (self.proven and (self.locked or self.is_held(now_ns)))",
        "self.funded or self.verified or self.locked or (self.proven and self.is_held(now_ns))",
    ),
    plant(
        "openings-reserve-unproven",
        "An opening without a proof of funds keeps inventory from others as long as its hold lasts.",
        "relayer/inventory.py",
        "self.funded or self.verified or (self.proven and (self.locked or self.is_held(now_ns)))",
        "self.funded or self.verified or self.is_held(now_ns) or (self.proven and self.locked)",
    ),
    plant(
        "a-no-is-not-heard",
        "A hook that calls a step off is taken for one that lets it pass.",
        "relayer/client/hooks.py",
        "        except (Exception, asyncio.CancelledError) as error:\n",
        "        except (Exception, asyncio.CancelledError) as error:\n            return\n",
    ),
    plant(
        "withdrawn-goes-on",
        "A swap that its initiator withdraws from goes on as if nothing had been said.",
        "htlc/facts.py",
        '            return close(state, "cancelled", reason), ()',
        "            return state, ()",
    ),
)
