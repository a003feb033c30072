"""`make simulate-mutants`: what the simulation is worth, measured by bugs that are planted one at a time.

    planting    how a bug is planted                        planting.Planter
    protocol    bugs in the gates and the machine           relaying    in checks, limits, effects, watching
    sending     on the way to the chain and back            outside     at endpoints and in the client
    ledger      between the gateway and the consortium ledger, and in its rules
    operating   in what operators do, and run on
    unforeseen, strangers, outsiders, newcomers, passers_by, readers, visitors, callers, guests
                bugs thought of before anybody knew if they would be noticed
    widenings   of the kinds that worlds were last made wider for
    places      what code a bug changes, and where a run has to come by for that to matter
    forking     a process that has imported everything, and plays each seed in a fork
    notes       what each seed does without a bug
    run         each over the same seeds until one fails    run.results

One that no seed fails has survived: the simulation does not notice that bug. `found.json` keeps the seed that found
each, which is tried first.
"""

from typing import Final

from gateway.simulation.mutants.callers import CALLED
from gateway.simulation.mutants.evading import EVADING
from gateway.simulation.mutants.guests import INVITED
from gateway.simulation.mutants.ledger import ADAPTING, RULES
from gateway.simulation.mutants.newcomers import NEW
from gateway.simulation.mutants.operating import OPERATING
from gateway.simulation.mutants.outside import BELIEVING
from gateway.simulation.mutants.outsiders import OUTSIDE
from gateway.simulation.mutants.passers_by import UNNOTICED
from gateway.simulation.mutants.planting import ROOT, Edit, Mutant, replaced
from gateway.simulation.mutants.protocol import MACHINE, TERMS
from gateway.simulation.mutants.readers import READ
from gateway.simulation.mutants.relaying import ACTING, CHECKING
from gateway.simulation.mutants.sending import SENDING
from gateway.simulation.mutants.strangers import STRANGE
from gateway.simulation.mutants.unforeseen import UNFORESEEN
from gateway.simulation.mutants.visitors import VISITED
from gateway.simulation.mutants.widenings import AT_CEILINGS, BRANCHING, FILLING, ROTATING, SLOW

__all__ = ["MUTANTS", "ROOT", "Edit", "Mutant", "replaced"]

MUTANTS: Final = (
    *(*TERMS, *MACHINE, *CHECKING, *ACTING, *SENDING, *BELIEVING, *ADAPTING, *RULES, *OPERATING),
    *(*UNFORESEEN, *STRANGE, *OUTSIDE, *EVADING, *NEW, *UNNOTICED, *READ, *VISITED, *CALLED, *INVITED),
    *(*BRANCHING, *SLOW, *AT_CEILINGS, *FILLING, *ROTATING),
)
