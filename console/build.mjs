// Bundles the console's scripts into static/built, each with its compressed copy: `node console/build.mjs`.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const built = join(here, "static/built");
const scripts = readdirSync(join(here, "scripts")).filter((name) => name.endsWith(".ts"));
const entries = (...names) => names.map((name) => join(here, "scripts", name));
const settings = { outdir: built, bundle: true, minify: true, target: "es2022", legalComments: "linked", logLevel: "warning" };
// A module in parts: what checks sync committees is large, and loaded when evidence needs it. The parts are named by
// their content, since a browser may keep an older one.
const PARTED = "verify.ts";
rmSync(built, { recursive: true, force: true });
await build({ ...settings, entryPoints: entries(...scripts.filter((name) => name !== PARTED)), format: "iife" });
await build({ ...settings, entryPoints: entries(PARTED), format: "esm", splitting: true, chunkNames: "part-[name]-[hash]" });
for (const name of readdirSync(built).filter((one) => one.endsWith(".js"))) {
  const whole = readFileSync(join(built, name));
  const packed = gzipSync(whole, { level: constants.Z_BEST_COMPRESSION });
  writeFileSync(join(built, `${name}.gz`), packed);
  console.log(`${name}: ${Math.ceil(whole.length / 1024)} KiB, ${Math.ceil(packed.length / 1024)} KiB compressed`);
}
