// Compiles changed contracts as chain/contracts/build.js does, one after the other: a line of JSON {name, source} on stdin, a
// line {artifact} or {error} on stdout. A warning is no error here: a change may leave a variable without a use.
"use strict";

const readline = require("node:readline");
const { compile, artifact, compiler } = require("../../../chain/contracts/build.js");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { name, source } = JSON.parse(line);
  try {
    const contracts = compile({ [`${name}.sol`]: { content: source } }, { warnings: true });
    console.log(JSON.stringify({ artifact: artifact(name, contracts[`${name}.sol`][name], compiler()) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
});
