// Compiles the contracts of this directory into chain/abi/{Name}.json. `--check` writes nothing and fails where the committed
// files differ. The same sources, compiler and library always give the same bytes: no metadata, no paths of this machine.
//
// The packages of package-lock.json are looked for in $CONTRACTS_MODULES (default: .tools/contracts/node_modules).
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const ROOT = path.resolve(__dirname, "..", "..");
const MODULES = path.resolve(process.env.CONTRACTS_MODULES || path.join(ROOT, ".tools", "contracts", "node_modules"));
const OUTPUT = path.join(ROOT, "chain", "abi");
const SETTINGS = {
  optimizer: { enabled: true, runs: 10_000 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};

let loaded = null;

function solc() {
  loaded = loaded || require(path.join(MODULES, "solc"));
  return loaded;
}

const compiler = () => solc().version().replace(/\.Emscripten.*$/, "");

function compile(sources, { warnings = false } = {}) {
  const input = JSON.stringify({ language: "Solidity", sources, settings: SETTINGS });
  const library = (file) => ({ contents: fs.readFileSync(path.join(MODULES, file), "utf8") });
  const output = JSON.parse(solc().compile(input, { import: library }));
  const problems = (output.errors || []).filter((problem) => !warnings || problem.severity === "error");
  problems.forEach((problem) => console.error(problem.formattedMessage));
  if (problems.length) throw new Error("the contracts do not compile without a warning");
  return output.contracts;
}

function artifact(name, contract, compiler) {
  const content = { name, compiler, abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` };
  return `${JSON.stringify(content, null, 1)}\n`;
}

const source = (name) => fs.readFileSync(path.join(__dirname, `${name}.sol`), "utf8");

function main() {
  const check = process.argv.includes("--check");
  const names = fs.readdirSync(__dirname).filter((file) => file.endsWith(".sol")).map((file) => path.basename(file, ".sol")).sort();
  const contracts = compile(Object.fromEntries(names.map((name) => [`${name}.sol`, { content: source(name) }])));
  const built = new Map(names.map((name) => [`${name}.json`, artifact(name, contracts[`${name}.sol`][name], compiler())]));
  const present = fs.readdirSync(OUTPUT).filter((file) => file.endsWith(".json"));
  if (check) {
    const read = (file) => (present.includes(file) ? fs.readFileSync(path.join(OUTPUT, file), "utf8") : null);
    const different = [...new Set([...built.keys(), ...present])].filter((file) => built.get(file) !== read(file));
    if (different.length) throw new Error(`chain/abi differs from the contracts: ${different.join(", ")}; run: make contracts`);
    console.log(`chain/abi: ${built.size} contracts rebuilt identically with solc ${compiler()}`);
    return;
  }
  fs.mkdirSync(OUTPUT, { recursive: true });
  built.forEach((content, file) => fs.writeFileSync(path.join(OUTPUT, file), content));
  present.filter((file) => !built.has(file)).forEach((file) => fs.unlinkSync(path.join(OUTPUT, file)));
  console.log(`chain/abi: ${built.size} contracts written with solc ${compiler()}`);
}

module.exports = { artifact, compile, compiler };

if (require.main === module) {
  try {
    main();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
