#!/usr/bin/env node
/** `causeway-verify EVIDENCE --anchor ANCHOR [--anchor ANCHOR] [--now SECONDS]`: exit status 0 proven, 2 not proven, 1 unreadable. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { dump, type Json } from "./canonical.js";
import { ProofError, readAnchor, verify } from "./index.js";

const USAGE = "usage: causeway-verify EVIDENCE --anchor ANCHOR [--anchor ANCHOR] [--now SECONDS]";

async function main(): Promise<number> {
  let evidence: Uint8Array;
  let anchors: Uint8Array[];
  let now: bigint | undefined;
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { anchor: { type: "string", multiple: true }, now: { type: "string" } } });
    const [path, ...others] = positionals;
    if (path === undefined || others.length > 0 || values.anchor === undefined || !/^\d{1,12}$/.test(values.now ?? "0")) {
      throw new Error(USAGE);
    }
    [evidence, anchors] = [readFileSync(path), values.anchor.map((file) => readFileSync(file))];
    now = values.now === undefined ? undefined : BigInt(values.now);
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
  try {
    const { question, answer, asOf, reliesOn } = await verify(evidence, anchors.map(readAnchor), now === undefined ? {} : { now });
    // Exact types are of no use here: every member is a value of JSON, or bigint.
    const facts = [question, answer, asOf].map((value) => dump(value as unknown as Json));
    console.log(`proven\n  question ${facts[0]}\n  answer   ${facts[1]}\n  as of    ${facts[2]}\n  final by ${reliesOn.join(" and ")}`);
    return 0;
  } catch (error) {
    if (!(error instanceof ProofError)) throw error;
    console.error(`not proven: ${error.message} (${error.code})`);
    return 2;
  }
}

process.exitCode = await main();
