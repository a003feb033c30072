// Runs the npm package `solc` over one standard-JSON input. argv[2] is the root with node_modules.
const path = require("path");
const fs = require("fs");

const root = path.resolve(process.argv[2]);
const solc = require(path.join(root, "node_modules", "solc"));

function readImport(name) {
  const file = path.resolve(root, "node_modules", name);
  if (!file.startsWith(path.join(root, "node_modules") + path.sep) || !fs.existsSync(file)) {
    return { error: "not found: " + name };
  }
  return { contents: fs.readFileSync(file, "utf8") };
}

const input = fs.readFileSync(0, "utf8");
const output = JSON.parse(solc.compile(input, { import: readImport }));
output.compiler = solc.version();
process.stdout.write(JSON.stringify(output));
