// The address is named often, since ponder allows each name of an endpoint 20 requests a second at first.
import { createConfig } from "ponder";
import { parseAbi } from "viem";

const env = process.env;

export default createConfig({
  database: { kind: "postgres", connectionString: env.DATABASE_URL },
  chains: { local: { id: 31337, rpc: Array.from({ length: 40 }, (_, i) => `${env.RPC_URL}/?${i}`) } },
  contracts: {
    Token: {
      chain: "local",
      address: env.TOKEN as `0x${string}`,
      abi: parseAbi(["event Transfer(address indexed sender, address indexed receiver, uint256 amount)"]),
      startBlock: 0,
      endBlock: Number(env.LAST),
    },
    Htlc: {
      chain: "local",
      address: env.HTLC as `0x${string}`,
      abi: parseAbi([
        "event Locked(bytes32 indexed hashlock, uint256 terms, address sender, uint256 amount)",
        "event Claimed(bytes32 indexed hashlock, uint256 lockId, bytes32 preimage)",
      ]),
      startBlock: 0,
      endBlock: Number(env.LAST),
    },
  },
});
