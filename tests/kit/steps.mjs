// What a swap's steps do at moments that a devnet does not show on demand: `node steps.mjs KIT VECTORS FOLDER`. Prints {name: outcome}.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const [, , kitFolder, vectors, folder] = process.argv;
const kit = (globalThis.kit = await import(`${kitFolder}/index.js`));
const { step } = await import(`${kitFolder}/swap/steps.js`);
const { Endpoints } = await import(`${kitFolder}/chains/endpoints.js`);
const { FileStore } = await import(`${kitFolder}/node/index.js`);
const { A, B, NOW, SENT, TIMING, T_A, T_B, answering, chainOf, record, refusal, settingOf } = await import("./scene.mjs");

async function stepped(stage, a, b, more = {}) {
  const made = await step({ ...record, stage, ...more }, settingOf(a, b));
  return [made.record.stage, made.record.result ?? "", ...a.acts, ...b.acts].filter(Boolean).join(" ");
}

const found = {};
const late = { timeS: T_A };
found["relayer never takes its lock back"] = await stepped("revealing", chainOf(A, late), chainOf(B, late));
found["relayer's lock may yet be claimed finally"] = await stepped("revealing", chainOf(A, {}), chainOf(B, {}));
found["our timelock is not there yet"] = await stepped("revealing", chainOf(A, { timeS: T_B }), chainOf(B, { timeS: T_B }));
found["refund of what stands"] = await stepped("refunding", chainOf(A, late), chainOf(B, late));
found["refund of what was settled"] = await stepped("refunding", chainOf(A, { ...late, final: "superseded", matches: false }), chainOf(B, late));
found["claim of what was settled"] = await stepped("revealing", chainOf(A, {}), chainOf(B, { final: "superseded", matches: false }));
const off = { calledOff: "changed my mind" };
found["called off before the wallet was asked"] = await stepped("locking", chainOf(A, { final: "absent", matches: false }), chainOf(B, {}), off);
found["called off after the wallet was asked"] = await stepped("locking", chainOf(A, { final: "absent", matches: false }), chainOf(B, {}), { ...off, lockTries: 1 });
found["called off with a lock"] = await stepped("locking", chainOf(A, {}), chainOf(B, {}), off);
found["preimage known to others"] = await stepped("locked", chainOf(A, { final: "claimed" }), chainOf(B, {}));

const elsewhere = { restored: true };
const unseen = { final: "absent", matches: false, findLock: async () => undefined };
found["backup, and no lock is seen"] = await stepped("locking", chainOf(A, unseen), chainOf(B, {}), { ...elsewhere, lockTries: 1, lockSent: SENT });
found["backup before the place, and no lock is seen"] = await stepped("agreed", chainOf(A, unseen), chainOf(B, {}), elsewhere);
found["backup, and its place has the lock"] = await stepped("locking", chainOf(A, {}), chainOf(B, {}), elsewhere);
found["backup, and another place has the lock"] = await stepped("locking", chainOf(A, { ...unseen, findLock: async () => ({ status: "locked", termsMatch: true, place: "moved", height: 1, timeS: NOW }) }), chainOf(B, {}), elsewhere);
found["backup, and the timelock has come without a lock"] = await stepped("locking", chainOf(A, { ...unseen, ...late }), chainOf(B, {}), elsewhere);

const ALLOWED = { hash: "0x02", sentAtS: NOW, allows: "5" };
const needing = (more) => chainOf(A, { final: "absent", matches: false, prepare: async () => ALLOWED, place: async () => "ours", ...more });
found["allowance before the place"] = await stepped("agreed", needing({}), chainOf(B, {}), { lockDeadline: T_A });
found["allowance used up by another"] = await stepped("locking", needing({}), chainOf(B, {}), { lockDeadline: T_A });
found["allowance under way"] = await stepped("locking", needing({ isUnderWay: async (sent) => sent.hash === "0x02" }), chainOf(B, {}), { lockDeadline: T_A, approval: ALLOWED });
const refusing = async () => { throw new kit.CausewayError("declined", "no", true); };
found["allowance declined"] = await stepped("agreed", needing({ prepare: refusing }), chainOf(B, {}), { lockDeadline: T_A });

/** Its block comes between two questions: first asked, the transaction is included; the state shows it from then on. */
function including(id, what) {
  const state = { final: "locked" };
  const chain = chainOf(id, { timeS: what === "claimed" ? NOW : T_A });
  chain.isUnderWay = async () => ((state.newest = what), false);
  const { readLock } = chain;
  chain.readLock = async (terms, place, at) => ({ ...(await readLock(terms, place, at)), status: (at === "latest" && state.newest) || state.final });
  return chain;
}
found["claim included between two questions"] = await stepped("revealing", chainOf(A, {}), including(B, "claimed"), { claimSent: SENT });
found["refund included between two questions"] = await stepped("refunding", including(A, "refunded"), chainOf(B, {}), { refundSent: SENT });

const [mine, other] = [chainOf(A, {}), chainOf(B, {})];
const store = new kit.MemoryStore();
await store.put({ ...record, stage: "revealing" });
let refused = 0;
other.claim = async () => {
  if (refused++ === 0) throw new kit.CausewayError("refused", "another sequence");
  other.readLock = async () => ({ status: "claimed", termsMatch: true, place: "theirs", height: 2, timeS: NOW });
  return SENT;
};
const client = new kit.SwapClient({ relayer: "http://127.0.0.1:1", relayerKey: "", chains: [mine, other], store, policy: kit.DEVNET_POLICY });
found["claim refused once"] = (await client.run("aa")).result;

for (const [name, value] of [["missing", undefined], ["null", null], ["empty", {}]]) {
  const quote = { initiator_asset: `${A}/asset:x`, participant_asset: `${B}/asset:x`, initiator_amount: "5", participant_amount: "5" };
  found[`${name} leg`] = await refusal(() => kit.agreed(quote, new Uint8Array(32), "", "", { initiator: value, participant: value }, {}, {}, NOW));
}

// --- nodes ---

const limited = new Endpoints(["http://1"], answering(() => ({ error: { message: "limit exceeded" } })));
found["node's own error"] = await refusal(() => limited.agreed((url) => limited.call(url, "status", {})));
found["node's answer in no form"] = await refusal(() => new kit.ConsortiumChain({ id: A, genesis: "00".repeat(32), endpoints: ["http://1"], timing: TIMING, key: kit.ledgerKey(new Uint8Array(32)), fetch: answering(() => ({ result: null })) }).head("latest"));

const one = JSON.parse(readFileSync(vectors, "utf8")).ethereum_calls[0];
const terms = kit.termsOf(one.terms);
const wallet = { account: { address: `0x${"11".repeat(20)}` } };
const urls = ["http://1", "http://2", "http://3"];
const ethereum = (fetch, more = {}) => new kit.EthereumChain({ id: terms.chain, contract: one.contract, endpoints: urls, timing: TIMING, wallet, fetch, ...more });
found["wallet of another chain"] = await refusal(() => ethereum(undefined, { wallet: { ...wallet, chain: { id: 1_234_567 } } }));

const HEAD = 30_000;
/** A node of a chain of `HEAD` blocks with these logs, the lock's lane as `word`. */
const node = (word, logs, sent = () => ({ blockNumber: null })) => answering((url, { method, params }) => {
  if (method === "eth_getBlockByNumber") return { result: { number: `0x${HEAD.toString(16)}`, hash: "0x01", timestamp: "0x1" } };
  if (method === "eth_getStorageAt") return { result: `0x${word.toString(16)}` };
  if (method === "eth_getLogs") return { result: logs.filter((log) => Number(params[0].fromBlock) <= log.block && log.block <= Number(params[0].toBlock)) };
  return { result: sent(url) };
});
const [sender, lane, generation] = one.place.split("/");
const word = (value) => BigInt(value).toString(16).padStart(64, "0");
const locked = (by) => ({ block: HEAD, topics: [], data: `0x${word((BigInt(generation) << 32n) | BigInt(lane))}${word(by)}${word(terms.amount)}` });
const strangers = Array.from({ length: 300 }, () => locked(`0x${"99".repeat(20)}`));
found["lock after locks of strangers"] = (await ethereum(node(BigInt(one.locked_word), [...strangers, locked(sender)])).findLock(terms, 0))?.status;

let asked;
const listening = ethereum(answering((_url, { method, params }) => {
  if (method === "eth_getLogs") asked = params[0].topics[0][0];
  return { result: method === "eth_getBlockByNumber" ? { number: "0x1", hash: "0x01", timestamp: "0x1" } : method === "eth_getStorageAt" ? `0x${(BigInt(one.locked_word) + 0x10000n).toString(16)}` : [] };
}));
await listening.readLock(terms, one.place, "latest");
const id = word((BigInt(sender) << 96n) | (BigInt(terms.timelock) << 56n) | (BigInt(generation) << 32n) | BigInt(lane));
const ended = { block: 5, topics: [asked], data: `0x${id}` };
found["lane used again long ago"] = (await ethereum(node(BigInt(one.locked_word) + 0x10000n, [ended])).readLock(terms, one.place, "finalized")).status;

// --- logs, from nodes that limit what is asked at once ---

const asks = { count: 0, most: 0 };
/** A node of a chain of `head` blocks with the lock's event in `block`; it refuses more than `limit` blocks at once. */
const limiting = (head, block, limit, refusal = "block range is too wide") => answering((_url, { method, params }) => {
  if (method === "eth_getBlockByNumber") return { result: { number: `0x${head.toString(16)}`, hash: "0x01", timestamp: "0x1" } };
  if (method === "eth_getStorageAt") return { result: `0x${BigInt(one.locked_word).toString(16)}` };
  const [from, to] = [Number(params[0].fromBlock), Number(params[0].toBlock)];
  asks.count += 1;
  if (to - from + 1 > limit) return { error: { message: refusal } };
  asks.most = Math.max(asks.most, to - from + 1);
  return { result: from <= block && block <= to ? [locked(sender)] : [] };
});
/** Look until it is found, or is not there: how often it took, and what it was. */
async function looked(chain, since) {
  for (let looks = 1; looks <= 50; looks += 1) {
    try {
      return `${(await chain.findLock(terms, since))?.status} after ${looks}`;
    } catch (error) {
      if (!error.retryable) throw error;
    }
  }
  return "never";
}
found["lock of long ago"] = await looked(ethereum(limiting(1_000_000, 5, Infinity)), 0);
found["lock long after the quote"] = await looked(ethereum(limiting(2_000_000, 1_900_000, Infinity)), 100_000);
found["node that shows 500 blocks"] = await looked(ethereum(limiting(30_000, 29_000, 500)), 1_000);
found["and was asked for more only to learn it"] = asks.count > 0 && asks.most <= 10_000;
found["node that shows 10 blocks"] = await looked(ethereum(limiting(3_000, 2_000, 10)), 1_000);
found["no lock, looked through once"] = await looked(ethereum(limiting(30_000, -1, Infinity)), 0);
const patient = ethereum(limiting(500_000, -1, Infinity));
await looked(patient, 0);
asks.count = 0;
await patient.findLock(terms, 0);
found["and not again, but for the newest"] = asks.count / urls.length;
found["node that is busy"] = await refusal(() => ethereum(limiting(30_000, 5, 0, "rate limit exceeded")).findLock(terms, 0));
found["node that shows no logs at all"] = await refusal(() => ethereum(limiting(30_000, 5, 0)).findLock(terms, 0));
let behind = true;
const catching = ethereum(answering((_url, { method, params }) => {
  if (method === "eth_getBlockByNumber") return { result: { number: "0x64", hash: "0x01", timestamp: "0x1" } };
  if (method === "eth_getStorageAt") return { result: `0x${BigInt(one.locked_word).toString(16)}` };
  return { result: !behind && Number(params[0].toBlock) >= 90 ? [locked(sender)] : [] };
}));
found["node behind the chain"] = String(await catching.findLock(terms, 0));
behind = false;
found["the same, once it is not"] = (await catching.findLock(terms, 0))?.status;
found["lane used again, as a node of 100 blocks shows"] = (await ethereum(answering((_url, { method, params }) => {
  if (method === "eth_getBlockByNumber") return { result: { number: "0x400", hash: "0x01", timestamp: "0x1" } };
  if (method === "eth_getStorageAt") return { result: `0x${(BigInt(one.locked_word) + 0x10000n).toString(16)}` };
  const [from, to] = [Number(params[0].fromBlock), Number(params[0].toBlock)];
  return to - from >= 100 ? { error: { message: "at most 100 blocks" } } : { result: from <= 5 && 5 <= to ? [ended] : [] };
})).readLock(terms, one.place, "finalized")).status;

// --- allowances ---

const TOKEN = `0x${"77".repeat(20)}`;
/** What the wallet is asked to approve of a token whose allowance is `allowed`; `picky` ones change no allowance but to zero and from it. */
async function approved(allowed, picky, besides = 0n) {
  const sent = [];
  const signer = { account: wallet.account, chain: undefined, sendTransaction: async ({ to, data }) => (sent.push(`${to === TOKEN ? "token" : to} ${BigInt(`0x${data.slice(-64)}`)}`), "0x03") };
  const chain = ethereum(answering((_url, { params }) => {
    const [call] = params;
    if (call.from === undefined) return { result: `0x${word(allowed)}` };
    return picky && allowed > 0n ? { error: { message: "execution reverted" } } : { result: `0x${word(1)}` };
  }), { wallet: signer });
  const made = await chain.prepare({ ...terms, asset: `${terms.chain}/erc20:${TOKEN}`, amount: 100n }, besides);
  return [made?.allows ?? "nothing", ...sent].join(", ");
}
found["allowance of nothing yet"] = await approved(0n, false);
found["allowance that is enough"] = await approved(100n, false);
found["allowance that is short"] = await approved(40n, false);
found["allowance that is short, and goes to zero first"] = await approved(40n, true);
found["allowance next to another swap's"] = await approved(0n, true, 30n);

const included = (urlsThatSayIt, block) => ethereum(node(0n, [], (url) => ({ blockNumber: urlsThatSayIt.includes(url) ? `0x${block.toString(16)}` : null }))).isUnderWay(SENT);
found["included as one node says"] = await included(urls.slice(0, 1), HEAD);
found["included as two nodes say"] = await included(urls.slice(0, 2), HEAD);
found["included in a block that is not read yet"] = await included(urls, HEAD + 1);

// --- a folder ---

const files = await FileStore.open(folder, "a passphrase of a test");
const held = (text) => {
  const last = Math.max(0, ...readdirSync(folder).flatMap((name) => /^aa\.([0-9]+)\.lock$/.exec(name)?.[1] ?? []).map(Number));
  writeFileSync(`${folder}/aa.${last + 1}.lock`, text);
  return refusal(() => files.exclusive("aa", async () => {}));
};
found["file of a process with our id before us"] = await held(`${process.pid} 1`);
found["file of a process that is gone"] = await held("999999999 1");
found["file whose writer died"] = await held("");
found["file of a process that lives"] = await held(`${process.ppid} 1`);
found["file of our own"] = await files.exclusive("bb", () => refusal(() => files.exclusive("bb", async () => {})));

process.stdout.write(JSON.stringify(found));
