// Holds the kit's verdicts against Python's: `node verdicts.mjs KIT CASES`. Prints how many were judged, and what differs.
import { readFileSync } from "node:fs";

const kit = await import(`${process.argv[2]}/index.js`);
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

process.stdout.write(JSON.stringify({ held, differs }));
