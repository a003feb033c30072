// One swap of a user's with the kit, on a devnet: `node swapping.mjs DEVNET STORE MODE`. Prints JSON lines.
// MODE: stop (end the process once our lock is final), resume, refund (call it off before the reveal), or lies.
import { readFileSync } from "node:fs";
import { ConsortiumChain, DEVNET_POLICY, EthereumChain, RelayerApi, SwapClient, ledgerKey, swapId, termsOf } from "@causeway/client";
import { FileStore } from "@causeway/client/node";
import { createWalletClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const [, , directory, folder, mode, give = "yuan"] = process.argv;
const devnet = JSON.parse(readFileSync(`${directory}/devnet.json`, "utf8"));
const [evm, ledger] = devnet.chains.map((chain) => ({ ...chain, endpoints: chain.endpoints.map((one) => one.url) }));
const user = devnet.users.find((one) => one.name === "carol");
const wallet = createWalletClient({ account: privateKeyToAccount(`0x${user.ethereum}`), transport: http(evm.endpoints[0]) });
const chains = [new EthereumChain({ ...evm, wallet }), new ConsortiumChain({ ...ledger, key: ledgerKey(Buffer.from(user.consortium, "hex")) })];
const [relayer] = Object.values(devnet.relayers);
const relayerKey = await new RelayerApi(relayer).quoteKey();
const store = await FileStore.open(folder, "a passphrase of a test");
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const clientOf = (fetch) => new SwapClient({ relayer, relayerKey, chains, store, policy: DEVNET_POLICY, ...(fetch ? { fetch } : {}) });
const amounts = { ether: 10n ** 16n, yuan: 2_000n, token: 10n ** 6n };
const asked = { initiatorAsset: devnet[give], participantAsset: give === "yuan" ? devnet.ether : devnet.yuan, initiatorAmount: amounts[give] };

/** Answers to openings as an honest relayer gives them, changed by `lie`; nothing is opened. */
const lying = (lie) => async (url, init) => {
  if (!String(url).endsWith("/v1/swaps")) return fetch(url, init);
  const { quote, hashlock, initiator_sender, initiator_receiver } = JSON.parse(init.body);
  const now = Math.ceil(Date.now() / 1000);
  const leg = (asset, amount, sender, receiver, timelock) => ({ terms: { chain: asset.split("/")[0], asset, amount, sender, receiver, hashlock, timelock } });
  const initiator = leg(quote.initiator_asset, quote.initiator_amount, initiator_sender, quote.participant_receiver, now + quote.initiator_lock_s);
  const participant = leg(quote.participant_asset, quote.participant_amount, quote.participant_sender, initiator_receiver, now + quote.participant_lock_s);
  const id = swapId(termsOf(initiator.terms), termsOf(participant.terms));
  const body = { id, hashlock, role: "liquidity-provider", phase: "agreed", done: false, initiator, participant, lock_deadline: now + 3, reserved: true };
  lie(body);
  return new Response(JSON.stringify(body), { status: 201 });
};

const LIES = {
  none: () => {},
  amount: (swap) => { swap.participant.terms.amount = String(BigInt(swap.participant.terms.amount) - 1n); },
  receiver: (swap) => { swap.initiator.terms.receiver = swap.initiator.terms.sender; },
  "their receiver": (swap) => { swap.participant.terms.receiver = swap.participant.terms.sender; },
  hashlock: (swap) => { swap.participant.terms.hashlock = `0x${"ab".repeat(32)}`; },
  id: (swap) => { swap.id = "00".repeat(16); },
  "early timelock": (swap) => { swap.participant.terms.timelock -= 30; },
  "late timelock": (swap) => { swap.initiator.terms.timelock += 100_000; },
  "no gap": (swap) => { swap.initiator.terms.timelock = swap.participant.terms.timelock; },
  "no number": (swap) => { swap.participant.terms.timelock = "soon"; },
  role: (swap) => { swap.role = "watchtower"; },
};

if (mode === "lies") {
  for (const [name, lie] of Object.entries(LIES)) {
    const client = clientOf(lying(lie));
    try {
      const swap = await client.open(await client.quote(asked));
      say({ lie: name, stage: swap.stage });
    } catch (error) {
      say({ lie: name, refused: error.code ?? String(error), message: error.message });
    }
  }
} else {
  const client = clientOf();
  const open = mode === "resume" ? (await client.swaps()).find((one) => one.stage !== "done") : await client.open(await client.quote(asked));
  const ended = await client.run(open.key, {
    onProgress: (made) => {
      say({ stage: made.stage, waits: made.waitsFor });
      if (mode === "stop" && made.stage === "locked") process.kill(process.pid, "SIGKILL");
    },
    ...(mode === "refund" ? { beforeReveal: () => { throw new Error("changed my mind"); } } : {}),
  });
  say({ result: ended.result, why: ended.calledOff });
}
