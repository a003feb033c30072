// Verifies the files that it is given on standard input with the kit, and prints its verdicts: `node judge.mjs KIT`.
import { readFileSync } from "node:fs";

const kit = await import(`${process.argv[2]}/evidence/index.js`);
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const plain = (_, value) => (typeof value === "bigint" ? value.toString() : value);

const verdicts = JSON.parse(readFileSync(0, "utf8")).map(({ evidence, anchor, now }) => {
  try {
    return { proven: kit.verify(bytes(evidence), kit.readAnchor(bytes(anchor)), BigInt(now)) };
  } catch (error) {
    if (!(error instanceof kit.ProofError)) return { broken: String(error.stack) };
    return { refused: error.code, why: error.message };
  }
});
process.stdout.write(JSON.stringify(verdicts, plain));
