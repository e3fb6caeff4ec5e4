#!/usr/bin/env node
// solc-js behind the command line of solc, as far as slither asks: `--version`, and `--standard-json` from stdin.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const MODULES = process.env.CONTRACTS_MODULES;
const solc = require(path.join(MODULES, "solc"));

if (process.argv.includes("--version")) {
  console.log(`Version: ${solc.version()}`);
} else {
  const library = (file) => ({ contents: fs.readFileSync(file, "utf8") });
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: library }));
}
