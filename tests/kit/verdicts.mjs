// Holds the kit's verdicts against Python's: `node verdicts.mjs KIT CASES`. Prints how many were judged, and what differs.
import { readFileSync } from "node:fs";

const kit = await import(`${process.argv[2]}/index.js`);
const { Finality } = await import(`${process.argv[2]}/swap/finality.js`);
const cases = JSON.parse(readFileSync(process.argv[3], "utf8"));
const differs = [];
let held = 0;

function verdict(work) {
  try {
    work();
    return "accepted";
  } catch (error) {
    if (!(error instanceof kit.CausewayError)) return `escaped: ${error}`;
    return ["gate-closed", "clock-skew"].includes(error.code) ? error.code : "refused";
  }
}

function same(one, work) {
  held += 1;
  const found = verdict(work);
  if (found !== one.verdict) differs.push({ found, ...one });
}

for (const one of cases.quotes) {
  const amounts = Object.fromEntries(["initiator", "participant"].flatMap((side) => (one.asked[`${side}_amount`] === undefined ? [] : [[`${side}Amount`, BigInt(one.asked[`${side}_amount`])]])));
  const request = { initiatorAsset: one.asked.initiator_asset, participantAsset: one.asked.participant_asset, ...amounts };
  same(one, () => kit.checkQuote(request, one.quote, one.key, one.most_s, one.now_s));
}
for (const one of cases.agreements) {
  const limits = { policy: one.policy, maxLockS: one.most_s, timelockSlackS: one.slack_s };
  const hashlock = Uint8Array.from(Buffer.from(one.hashlock, "hex"));
  same(one, () => {
    const { id } = kit.agreed(one.quote, hashlock, one.sender, one.receiver, one.answer, one.timings, limits, one.now_s);
    if (id !== one.answer.id) throw new Error("another id");
  });
}
for (const one of cases.skews) same(one, () => kit.checkSkew("a chain", one.head_s, one.now_s, one.timing));

const numbers = (units) => Object.fromEntries(Object.entries(units).map(([asset, text]) => [asset, BigInt(text)]));
const promised = (one) => ({ ...one, amount: BigInt(one.amount) });
for (const one of cases.purses) {
  const costs = Object.fromEntries(Object.entries(one.costs).map(([chain, cost]) => [chain, { ...cost, exit: BigInt(cost.exit) }]));
  same(one, () => kit.checkFree(one.others.map(promised), promised(one.mine), costs, numbers(one.locking), numbers(one.held)));
}

/** The gate at each look, as `verdict` names it. */
async function looks(steps) {
  const [store, verdicts] = [new kit.MemoryStore(), []];
  const client = new kit.SwapClient({ relayer: "", relayerKey: "", chains: [], store });
  let now;
  const chain = { id: "eip155:31337", head: async () => ({ height: now.final, timeS: 0 }), blockHash: async (height) => now.blocks[height] };
  for (now of steps) {
    if (now.acknowledged) await client.acknowledge(chain.id);
    const gate = await new Finality(store, () => 0).check([chain]).then(() => undefined, (error) => error);
    verdicts.push(verdict(() => { if (gate !== undefined) throw gate; }));
  }
  return verdicts.join(" ");
}
for (const one of cases.histories) {
  held += 1;
  const found = await looks(one.steps);
  if (found !== one.verdict) differs.push({ found, ...one });
}

process.stdout.write(JSON.stringify({ held, differs }));
