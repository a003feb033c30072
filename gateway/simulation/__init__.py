"""Whole towns in virtual time, from one seed: relayers, dApps, watchtowers, cheats and strangers over memory chains.

    plan      what this seed has in store: deals, faults, deaths, reorgs, lies          plan.draw(seed)
    world     two chains that produce blocks, late, reorganised, skewed, stalled        world.World
    aims      trouble that waits for its moment                                         aims.Aims
    liars     endpoints that lie                                                        liars.lying
    wire      what every party sends, noted as it leaves                                wire.Wire
    statements  databases that prepare what is asked again                              statements.memory_database
    process   relayers and clients that die and come back                               process.Process
    hands     what people do past every pipeline                                        hands.send
    story     everybody sets out to do what the plan says                               story.run
    verdict   what went wrong, by code of its own                                       verdict/
    history   what became of every lock, block by block                                 history.History
    traces    each swap, step by step, held against the specification (read by tla)     traces.problems
    journeys  events, effects and phases of the parties' machines                       journeys.journeys
    coverage  what a campaign must have seen                                            coverage.Coverage

`python -m gateway.simulation --seeds 100` prints the seeds that fail; `--seed N --verbose` shows one story.
"""
