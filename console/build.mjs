// Bundles the console's scripts into static/built, each with its compressed copy: `node console/build.mjs`.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const built = join(here, "static/built");
const entries = readdirSync(join(here, "scripts")).filter((name) => name.endsWith(".ts")).map((name) => join(here, "scripts", name));
await build({ entryPoints: entries, outdir: built, bundle: true, minify: true, format: "iife", target: "es2022", legalComments: "linked", logLevel: "warning" });
for (const name of readdirSync(built).filter((one) => one.endsWith(".js"))) {
  const whole = readFileSync(join(built, name));
  const packed = gzipSync(whole, { level: constants.Z_BEST_COMPRESSION });
  writeFileSync(join(built, `${name}.gz`), packed);
  console.log(`${name}: ${Math.ceil(whole.length / 1024)} KiB, ${Math.ceil(packed.length / 1024)} KiB compressed`);
}
