// Bundles every entry that pages use into one module, in parts, and prints what each part weighs: `node size.mjs KIT`.
import { constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const kit = process.argv[2];
const contents = ["index.js", "browser/index.js", "evidence/index.js"].map((one) => `export * from "${kit}/${one}";`).join("\n");
const { outputFiles, metafile } = await build({
  stdin: { contents, resolveDir: kit }, outdir: "/nowhere", write: false, metafile: true, bundle: true, splitting: true,
  minify: true, format: "esm", target: "es2022", platform: "browser", external: ["viem", "viem/*"], logLevel: "error",
});
const outputs = Object.entries(metafile.outputs).map(([path, made]) => ({ ...made, name: path.split("/").at(-1) }));
const named = new Map(outputs.map((one) => [one.name, one]));
const at = (path) => named.get(path.split("/").at(-1));

/** A part and those that it imports right away. */
function needed(part, found = new Set()) {
  if (found.has(part)) return found;
  found.add(part);
  for (const { path, kind, external } of part.imports) if (kind === "import-statement" && !external) needed(at(path), found);
  return found;
}

function weight(parts) {
  const names = new Set([...parts].map((one) => one.name));
  const files = outputFiles.filter((one) => names.has(one.path.split("/").at(-1)));
  const bytes = files.reduce((sum, one) => sum + gzipSync(one.contents, { level: constants.Z_BEST_COMPRESSION }).length, 0);
  return { bytes, modules: [...parts].flatMap((one) => Object.keys(one.inputs)) };
}

const first = needed(outputs.find((one) => one.entryPoint === "<stdin>"));
const outside = [...new Set(outputs.flatMap((one) => one.imports.filter((made) => made.external).map((made) => made.path)))];
console.log(JSON.stringify({ first: weight(first), later: weight(outputs.filter((one) => !first.has(one))), outside }));
