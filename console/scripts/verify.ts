/** Evidence, checked here: the files leave this browser for nowhere. */
import { ProofError, readAnchor, verify } from "../../kit/src/evidence/index.js";
import { type Json, dump } from "../../kit/src/evidence/canonical.js";

const MAX_FILE_BYTES = 8 * 1024 * 1024;
const form = document.querySelector<HTMLFormElement>("#verify");
const verdict = document.querySelector<HTMLElement>("#verdict");

async function chosen(id: string): Promise<Uint8Array> {
  const file = document.querySelector<HTMLInputElement>(`#${id}`)?.files?.[0];
  if (file === undefined) throw new Error("choose both files");
  if (file.size > MAX_FILE_BYTES) throw new Error(`${file.name} has more than ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
  return new Uint8Array(await file.arrayBuffer());
}

function shown(kind: "good" | "bad", title: string, rows: readonly (readonly [string, string])[]): void {
  const card = document.createElement("article");
  card.className = `card ${kind}`;
  const head = document.createElement("h2");
  head.textContent = title;
  const list = document.createElement("dl");
  for (const [name, value] of rows) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, text.textContent] = [name, value];
    list.append(term, text);
  }
  card.append(head, list);
  verdict?.replaceChildren(card);
}

const text = (value: unknown): string => dump(value as Json);

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  void (async () => {
    try {
      const [evidence, anchor] = [await chosen("file"), await chosen("anchor")];
      const now = document.querySelector<HTMLInputElement>("#now")?.value ?? "";
      const proven = await verify(evidence, readAnchor(anchor), now === "" ? {} : { now: BigInt(now) });
      shown("good", "Proven", [["Question", text(proven.question)], ["Answer", text(proven.answer)], ["As of", text(proven.asOf)]]);
    } catch (error) {
      const code = error instanceof ProofError ? ` (${error.code})` : "";
      shown("bad", "Not proven", [["Why", `${(error as Error).message}${code}`]]);
    }
  })();
});
