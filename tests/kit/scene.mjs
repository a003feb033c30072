// Chains, a record and nodes for the programs beside this one, which set `globalThis.kit` first.
const { kit } = globalThis;
export const TIMING = { block_time_s: 1, inclusion_s: 1, finality_s: 1, observation_s: 1, lead_s: 1, lag_s: 1 };
export const [NOW, T_A, T_B] = [10_000, 12_000, 11_000];
export const [A, B] = ["causeway:one", "causeway:two"];
const hashlock = `0x${"ab".repeat(32)}`;
export const leg = (chain, timelock) => ({ chain, asset: `${chain}/asset:x`, amount: "5", sender: `${chain}:${"11".repeat(20)}`, receiver: `${chain}:${"22".repeat(20)}`, hashlock, timelock });
export const record = { version: 1, key: "aa", createdS: NOW, preimage: "cd".repeat(32), ours: leg(A, T_A), theirs: leg(B, T_B), place: "ours", theirPlace: "theirs", lockDeadline: NOW, quote: { initiator_asset: `${A}/asset:x`, participant_asset: `${B}/asset:x` } };
export const SENT = { hash: "0x01", sentAtS: NOW };

/** The hash of a block, another one on each branch. */
export const hashOf = (height, branch = 0) => `${branch.toString(16).padStart(2, "0")}${height.toString(16).padStart(62, "0")}`;

/** A chain whose one lock and time are as they are set. `acts` are the transactions that it was asked for. */
export function chainOf(id, { final = "locked", newest = final, timeS = NOW, matches = true, ...more }) {
  const fact = (status) => ({ status, termsMatch: matches, place: "theirs", height: 1, timeS });
  const acts = [];
  const sent = (act) => async () => (acts.push(act), SENT);
  const nothing = async () => {};
  return {
    id, acts, account: `${id}:${"11".repeat(20)}`, timing: TIMING,
    head: async () => ({ height: 1, timeS }), findLock: async () => fact(final),
    readLock: async (_terms, _place, at) => fact(at === "finalized" ? final : newest),
    checkEndpoints: nothing, checkHolder: nothing, checkPayout: nothing, checkPurse: nothing, prepare: nothing, place: async () => "ours",
    blockHash: async (height) => hashOf(height), balance: async () => 10n ** 30n, costs: nothing, outbid: nothing,
    lock: sent("lock"), claim: sent("claim"), refund: sent("refund"), isUnderWay: async () => false, ...more,
  };
}

export const settingOf = (a, b, more = {}) => ({ a, b, policy: kit.DEVNET_POLICY, nowS: () => NOW, save: async () => {}, taken: async () => [], allowed: async () => 0n, promised: async () => [], steady: async () => {}, ...more });

export async function refusal(work) {
  try {
    await work();
    return "nothing";
  } catch (error) {
    return error instanceof kit.CausewayError ? `${error.code} ${error.retryable}` : `escaped: ${error}`;
  }
}

/** Nodes that answer JSON-RPC with what `make` gives for a URL and a question. Asked for their chain, they say `chain` (of a URL). */
export const answering = (make, chain = () => "0x7a69") => async (url, init) => {
  const asked = JSON.parse(init.body);
  return new Response(JSON.stringify({ jsonrpc: "2.0", id: 1, ...(asked.method === "eth_chainId" ? { result: chain(url) } : make(url, asked)) }));
};
