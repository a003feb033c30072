// A swap on a running devnet, both ways round: `node swap.mjs .causeway/devnet` after `causeway up`.
import { readFileSync } from "node:fs";
import { ConsortiumChain, DEVNET_POLICY, EthereumChain, MemoryStore, RelayerApi, SwapClient, ledgerKey } from "@causeway/client";
import { createWalletClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const devnet = JSON.parse(readFileSync(`${process.argv[2] ?? ".causeway/devnet"}/devnet.json`, "utf8"));
const [evm, ledger] = devnet.chains.map((chain) => ({ ...chain, endpoints: chain.endpoints.map((one) => one.url) }));
const bob = devnet.users.find((user) => user.name === "bob");
const wallet = createWalletClient({ account: privateKeyToAccount(`0x${bob.ethereum}`), transport: http(evm.endpoints[0]) });
const chains = [new EthereumChain({ ...evm, wallet }), new ConsortiumChain({ ...ledger, key: ledgerKey(Buffer.from(bob.consortium, "hex")) })];
const [relayer] = Object.values(devnet.relayers);
const relayerKey = await new RelayerApi(relayer).quoteKey(); // away from a devnet: learnt by another way
const client = new SwapClient({ relayer, relayerKey, chains, store: new MemoryStore(), policy: DEVNET_POLICY });

for (const [give, get, amount] of [[devnet.ether, devnet.yuan, 10n ** 17n], [devnet.yuan, devnet.ether, 20_000n]]) {
  const swap = await client.open(await client.quote({ initiatorAsset: give, participantAsset: get, initiatorAmount: amount }));
  const ended = await client.run(swap.key, { onProgress: (made) => console.log(made.stage, made.waitsFor ?? "") });
  console.log(ended.result, ended.claimTx);
}
