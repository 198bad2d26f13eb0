/*
 * Preloaded into a process: its system clock is off by what the file `step` beside this one says, in ms. So it is in its threads, and in the
 * kernel's cells, which get nothing of their parent's environment. Guests keep the real one: an isolate has its own `Date`.
 */
const { execPath, hrtime } = require('node:process');
const { readFileSync } = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const childProcess = require('node:child_process');
const path = require('node:path');

const FILE = path.join(__dirname, 'step');
const LOOK_NS = 5_000_000n;
const RealDate = Date;
const realNow = Date.now;

let step = 0;
let lookedAt = 0n;

function now() {
  const at = hrtime.bigint();
  if (at - lookedAt > LOOK_NS) {
    lookedAt = at;
    step = Number(readFileSync(FILE, 'utf8'));
  }
  return realNow() + step;
}

RealDate.now = now;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, made) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, made === globalThis.Date ? target : made),
  apply: () => new RealDate(now()).toString(),
});

const { spawn } = childProcess;
childProcess.spawn = (command, args, ...more) =>
  spawn(command, command === execPath ? ['--require', __filename, ...args] : args, ...more);
syncBuiltinESMExports();
