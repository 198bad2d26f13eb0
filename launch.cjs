#!/usr/bin/env node
// Runs Atoll's commands on Node 24, whatever Node npm itself runs on: the current one when it is new enough,
// else the binary that `npm ci` installed from the node-<platform>-<arch> package (see package.json).
'use strict';
const { spawn } = require('node:child_process');
const { existsSync } = require('node:fs');
const path = require('node:path');

const NEEDED_MAJOR = 24;
const root = __dirname;
const at = (...parts) => path.join(root, ...parts);

/** For glibc: larger blocks go back to the machine when they are freed. Otherwise a start leaves a hundred MB behind. */
const MEMORY = { MALLOC_MMAP_THRESHOLD_: '131072' };

/** What Node has compiled of modules is kept, so that the next start is quicker; it goes with `npm ci`. */
const CACHE = { NODE_COMPILE_CACHE: at('node_modules/.cache/node') };

/** Marks a step that is a program of its own, not a script for Node. */
const BINARY = Symbol('binary');

const TSC = [at('node_modules/typescript/bin/tsc'), '-b'];
const PRELUDE = [at('kernel/dist/sandbox/build-prelude.js')];
const DATABASE = [at('kernel/dist/database/build-template.js')];
// What runs: the kernel and the command line with what they refer to. Plugins are bundled when they start.
const BUILD = [[...TSC, at('kernel'), at('plugin-sdk/tsconfig.host.json')], PRELUDE, DATABASE];
const VITEST = [at('node_modules/vitest/vitest.mjs'), 'run'];

/** Command → the Node processes it runs one after the other; the last one also gets the command's arguments. */
const COMMANDS = {
  build: BUILD,
  typecheck: [TSC],
  start: [...BUILD, [at('kernel/dist/main.js')]],
  atoll: [...BUILD, [at('plugin-sdk/dist-host/cli/main.js')]],
  test: [...BUILD, VITEST],
  'test:postgres': [...BUILD, [at('node_modules/jiti/lib/jiti-cli.mjs'), at('test/postgres/main.ts')]],
  chaos: [...BUILD, [...VITEST, '--config', at('test/chaos/vitest.config.ts')]],
  bench: [...BUILD, [at('node_modules/jiti/lib/jiti-cli.mjs'), at('test/bench/main.ts')]],
  biome: [[BINARY, at('node_modules/@biomejs', `cli-${process.platform}-${process.arch}`, 'biome')]],
};

/** The path of a Node binary that is new enough, or null. Odd majors have no isolated-vm. */
function findNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= NEEDED_MAJOR && major % 2 === 0) return process.execPath;
  const bundled = at('node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  return existsSync(bundled) ? bundled : null;
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

const node = findNode();
if (!node) {
  fail(
    `Atoll needs Node ${NEEDED_MAJOR} or newer; this is ${process.version} and no bundled Node was found for ` +
      `${process.platform}-${process.arch}.\nRun \`npm ci\` with optional dependencies, or install Node ${NEEDED_MAJOR}.`,
  );
}
const [command, ...args] = process.argv.slice(2);
const steps = COMMANDS[command];
if (!steps) fail(`Unknown command "${command ?? ''}". Known: ${Object.keys(COMMANDS).join(', ')}.`);

let child;
// A child that was started directly (not by a terminal) must learn of the signal, too.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child?.kill(signal));

function runStep(index) {
  const last = index === steps.length - 1;
  const [first, ...rest] = steps[index];
  const [file, options] = first === BINARY ? [rest[0], rest.slice(1)] : [node, steps[index]];
  child = spawn(file, [...options, ...(last ? args : [])], {
    stdio: 'inherit',
    // npm runs scripts in the package's folder; paths on the command line are meant from where the user is.
    cwd: command === 'atoll' && last ? (process.env.INIT_CWD ?? process.cwd()) : root,
    env: {
      ...MEMORY,
      ...CACHE,
      ...process.env,
      PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}`,
    },
  });
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else if (code !== 0 || last) process.exit(code ?? 1);
    else runStep(index + 1);
  });
}
runStep(0);
