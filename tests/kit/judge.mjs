// Verifies the files that it is given on standard input with the kit, and prints its verdicts: `node judge.mjs KIT`.
import { readFileSync } from "node:fs";

const kit = await import(`${process.argv[2]}/evidence/index.js`);
const { dump } = await import(`${process.argv[2]}/evidence/canonical.js`);
const { writeAnswer, writeAsOf } = await import(`${process.argv[2]}/evidence/questions.js`);
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));

const { layouts, cases } = JSON.parse(readFileSync(0, "utf8"));
const believed = kit.readLayouts(bytes(layouts));
const verdict = async ({ evidence, anchors, now }) => {
  try {
    const trusted = anchors.map((anchor) => kit.readAnchor(bytes(anchor)));
    const { answer, asOf, reliesOn } = await kit.verify(bytes(evidence), trusted, { now: BigInt(now), layouts: believed });
    return { answer: dump(writeAnswer(answer)), as_of: dump(writeAsOf(asOf)), relies_on: reliesOn };
  } catch (error) {
    if (!(error instanceof kit.ProofError)) return { broken: String(error.stack) };
    return { refused: error.code, why: error.message };
  }
};
const verdicts = [];
for (const one of cases) verdicts.push(await verdict(one));
process.stdout.write(JSON.stringify(verdicts));
