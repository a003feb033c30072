"""Whole swaps in virtual time, from one seed: real relayers, followers and pipelines over memory chains that misbehave.

    plan     what this seed has in store: roles, faults, deaths, reorgs           plan.draw(seed)
    world    two chains that produce blocks, late, reorganised, skewed            world.World
    party    one process's life: dies at a write or at a time, comes back         party.Party
    story    quote, agree, lock, claim; by the machine or by a cheat's own hand   story.run
    verdict  nobody honest lost money, every lock is settled, replay is equal     verdict.judge
    campaign many seeds at once                                                  campaign.verdicts

`python -m gateway.simulation --seeds 100` prints the seeds that fail; `--seed N --verbose` tells one story.
"""
