import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundlePrelude } from './prelude/bundle.js';
import { PRELUDE_DIR } from './prelude/load.js';

/* The build step after tsc: bundles the guest prelude and makes the engine snapshot, when they are out of date. */

interface Stamp {
  inputs: string[];
  fingerprint: string;
}

const STAMP = path.join(PRELUDE_DIR, 'stamp.json');

/** Changes with the inputs and with the engine: a snapshot holds machine code of exactly this V8. */
function fingerprint(inputs: string[]): string {
  const hash = createHash('sha256').update(process.version).update(process.versions.v8).update(process.arch);
  for (const file of inputs) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${file}:${mtimeMs}:${size};`);
  }
  return hash.digest('hex');
}

function upToDate(): boolean {
  try {
    const stamp = JSON.parse(readFileSync(STAMP, 'utf8')) as Stamp;
    return existsSync(path.join(PRELUDE_DIR, 'prelude.js')) && stamp.fingerprint === fingerprint(stamp.inputs);
  } catch {
    return false;
  }
}

function buildSnapshot(source: string): void {
  const target = path.join(PRELUDE_DIR, 'prelude.snapshot');
  rmSync(target, { force: true });
  const script = fileURLToPath(new URL('./prelude/snapshot.js', import.meta.url));
  try {
    execFileSync(process.execPath, ['--no-node-snapshot', script, source, target], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    const reason = String((error as { stderr?: Buffer }).stderr ?? error).slice(0, 2_000);
    process.stderr.write(
      `No engine snapshot could be made; isolates will start from source, which is slower.\n${reason}\n`,
    );
  }
}

if (!upToDate()) {
  mkdirSync(PRELUDE_DIR, { recursive: true });
  const { code, inputs } = await bundlePrelude();
  const file = path.join(PRELUDE_DIR, 'prelude.js');
  writeFileSync(file, code);
  buildSnapshot(file);
  const files = [
    ...inputs,
    fileURLToPath(import.meta.url),
    fileURLToPath(new URL('./prelude/bundle.js', import.meta.url)),
  ].filter((input) => existsSync(input));
  writeFileSync(STAMP, JSON.stringify({ inputs: files, fingerprint: fingerprint(files) } satisfies Stamp));
}
