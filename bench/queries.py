"""Questions and proofs: the gas of answers on Ethereum, proven answers a second, and how fast they are verified.

    python -m bench.queries             # a table
    python -m bench.queries --json      # the last line alone
    python -m bench.queries --no-gas    # without `bench.query_gas`, whose figures are among these

A devnet runs in processes of its own. One process, this one, asks its consortium node for `RECORDS` records again and
again, `AT_ONCE` questions at a time, and makes evidence files of the answers: `pull_per_s`, and `pull_p95_ms` from a
question to its file. Leaves that were proven as of a height are not asked for again at that height, as in a relayer.
`verify_…` are verifications a second of one process under headers that it has verified before: a record of a
consortium chain (sparse Merkle tree), a storage word of a contract on Ethereum (Merkle Patricia tries). `file_per_s` is
the whole of `causeway verify`: the file parsed, its headers and signatures verified, too. Verification is measured in
this process's own CPU time, answers by the clock.

`push_blocks` are the blocks of the asking chain from a request to its answer, whose height is final by then, through
the running relayer: of `PUSHES` questions that a contract asks about the ledger (`…_ethereum`) and as many that the
ledger asks about Ethereum (`…_ledger`), one after the other, the one that took the most.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from adapters.consortium.messages import write_record
from adapters.registry import joined_prover
from core.model.consortium import record_key
from core.model.identifiers import parse_account, parse_asset
from core.model.questions import Anchor, BalanceQuestion, Evidence, RecordQuestion
from core.model.uris import parse_uri
from core.proofs import ethereum
from core.proofs.evidence import decode_anchor, decode_evidence, encode_evidence, verify
from core.proofs.evidence.ethereum_state import decode_ethereum_proof, state_answer
from core.proofs.evidence.state import ProvenState, answer_from_state
from core.proofs.evidence.verification import decode_consortium_proof
from gateway import wiring
from gateway.devnet import Devnet, DevnetSettings
from gateway.devnet.asking import DevnetAsker
from gateway.devnet.info import DevnetInfo
from gateway.sending import send

RECORDS: Final = 20
QUESTIONS: Final = 1_500
AT_ONCE: Final = 8
ROUNDS: Final = 2_000
PUSHES: Final = 8
PATIENCE_S: Final = 60.0
NAMESPACE: Final = "bench"


async def measure_pull(prover: Any, questions: list[RecordQuestion]) -> tuple[dict[str, float], Evidence]:
    """Answers a second and their times, as evidence files; and one of them."""
    taken: list[float] = []
    waiting = iter(questions)
    last: list[Evidence] = []

    async def ask() -> None:
        for question in waiting:
            begun = time.perf_counter()
            evidence = await prover.prove(question)
            encode_evidence(evidence)
            taken.append(time.perf_counter() - begun)
            last[:] = [evidence]

    begun, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    passed, used = time.perf_counter() - begun, time.process_time() - used
    figures = {
        "pull_per_s": len(taken) / passed,
        "pull_p95_ms": statistics.quantiles(taken, n=20)[-1] * 1e3,
        "pull_cpu_ms": used / len(taken) * 1e3,
    }
    return figures, last[0]


def per_second(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """How often this process does it in a second of its own time: the best of five, since others work here, too."""
    best = 0.0
    for _ in range(5):
        begun = time.process_time()
        for _ in range(rounds // 5):
            work()
        best = max(best, rounds / 5 / (time.process_time() - begun))
    return best


def measure_verification(record: Evidence, word: Evidence, anchor: Anchor) -> dict[str, float]:
    now_s = int(time.time())
    smt, mpt = decode_consortium_proof(record.proof), decode_ethereum_proof(word.proof)
    root, version = smt.trail.target.app_hash, smt.trail.target.app_version
    header = ethereum.decode_header(mpt.header)
    file = encode_evidence(record)

    def ledger_answer() -> None:
        state = ProvenState(root, smt.entries)
        if answer_from_state(record.question, state.read, version)[0] != record.answer:
            raise SystemExit("the benchmark's own answer does not hold")

    def ethereum_answer() -> None:
        if state_answer(word.question, header, mpt.account_nodes, mpt.storage_nodes) != word.answer:
            raise SystemExit("the benchmark's own answer does not hold")

    return {
        "verify_smt_per_s": per_second(ledger_answer),
        "verify_mpt_per_s": per_second(ethereum_answer),
        "file_per_s": per_second(lambda: verify(decode_evidence(file), anchor, now_s), 200),
    }


async def measure_push(info: DevnetInfo, chains: Any) -> dict[str, float]:
    asker = DevnetAsker(info, chains)
    holder, token = parse_account(info.user("alice").ethereum_account), parse_asset(info.token)
    balance = BalanceQuestion(info.ethereum, holder, token)
    heard, kept = [], []
    for number in range(PUSHES):
        heard.append((await asker.contract(record_key(NAMESPACE, f"record-{number}", 1))).blocks)
        kept.append((await asker.ledger(balance)).blocks)
    return {
        "push_blocks": max(heard + kept),
        "push_blocks_ethereum": max(heard),
        "push_blocks_ledger": max(kept),
        "push_blocks_mean": statistics.mean(heard + kept),
    }


async def measure_devnet(directory: Path) -> dict[str, float]:
    async with Devnet(DevnetSettings(directory, ["relayer-a"])) as devnet:
        info = devnet.info
        async with wiring.connected(info.chains) as chains:
            await write_records(info, chains)
            prover = joined_prover(chains, info.consortium)
            questions = [
                RecordQuestion(info.consortium, NAMESPACE, f"record-{number % RECORDS}") for number in range(QUESTIONS)
            ]
            await measure_pull(prover, questions[: QUESTIONS // 10])  # what is slower the first time
            figures, record = await measure_pull(prover, questions)
            word = await proven_word(prover, info)
            figures |= await measure_push(info, chains)
    anchor = decode_anchor(await asyncio.to_thread(Path(info.anchor).read_bytes))
    return {**figures, **measure_verification(record, word, anchor)}


async def write_records(info: DevnetInfo, chains: Any) -> None:
    connected = chains[info.consortium]
    signer = connected.signer(bytes.fromhex(info.user("alice").consortium))
    for number in range(RECORDS):
        document = json.dumps({"donation": number, "for": "what it was given for"}).encode()
        written = write_record(signer.account, NAMESPACE, f"record-{number}", document)
        await send(connected.access.transactions, connected.access.heads, signer, written)


async def proven_word(prover: Any, info: DevnetInfo) -> Evidence:
    """A word of the token's storage, once a block is attested."""
    token = info.token.rpartition(":")[2]
    holder = info.user("alice").ethereum_account.rpartition(":")[2]
    question = parse_uri(f"{info.ethereum}/erc20:{token}/balanceOf/{holder}").question
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            evidence: Evidence = await prover.prove(parse_uri(f"{info.ethereum}/storage/{token}/2").question)
            await prover.prove(question)
            return evidence
        except Exception:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.5)


async def run(*, with_gas: bool) -> dict[str, float]:
    """All figures by name."""
    figures: dict[str, float] = {}
    if with_gas:
        figures |= await import_module("bench.query_gas").run()
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as name:
        figures |= await measure_devnet(Path(name))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.queries", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the last line alone")
    parser.add_argument("--no-gas", action="store_true", help="leave out the gas of answers on Ethereum")
    options = parser.parse_args()
    figures = asyncio.run(run(with_gas=not options.no_gas))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:34} {value:>12,.1f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
