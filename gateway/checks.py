"""`causeway relayer check`: a configuration held against itself, and the timelocks that its pairs would get."""

from collections.abc import Iterator

from core.model.errors import RejectedError
from core.model.types import ChainId, ChainTime
from gateway import wiring
from gateway.config import RelayerConfig, listen_address
from htlc import timelocks


def check_relayer(config: RelayerConfig) -> Iterator[str]:
    """One line for each thing that is right. Raises `RejectedError` for the first that is not."""
    listen_address(config.listen)
    specs = {spec.chain: spec for spec in map(wiring.chain_spec, config.chains)}
    for spec in specs.values():
        operators = {endpoint.operator for endpoint in spec.endpoints}
        yield f"{spec.chain}: {len(spec.endpoints)} endpoint(s) of {len(operators)} operator(s)"
    for account in config.accounts:
        if ChainId(account.chain) not in specs:
            raise RejectedError(f"there is an account on {account.chain}, which is no configured chain")
    policy = wiring.relayer_policy(config).swap
    for pair in wiring.pairs(config.pairs):
        missing = {pair.initiator_chain, pair.participant_chain} - specs.keys()
        if missing:
            raise RejectedError(f"the pair {pair.id} needs {', '.join(sorted(missing))}, which is not configured")
        a, b = specs[pair.initiator_chain].timing, specs[pair.participant_chain].timing
        start_a, start_b = ChainTime(pair.initiator_chain, 0), ChainTime(pair.participant_chain, 0)
        t_a, t_b = timelocks.plan(start_a, start_b, a, b, policy)
        yield f"{pair.id}: the initiator's timelock lies {t_a.seconds} s ahead, the participant's {t_b.seconds} s"
