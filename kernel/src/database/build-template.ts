import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tar from 'tar';
import { TEMPLATE, TEMPLATE_ARCHIVE } from './embedded/template.js';

/* The build step after tsc: makes the prepared data directory of the embedded database, when it is out of date. */

const STAMP = `${TEMPLATE}.stamp`;

/** Changes with the engine, its extensions and with how they are opened. */
function fingerprint(): string {
  const require = createRequire(import.meta.url);
  const hash = createHash('sha256');
  for (const name of ['@electric-sql/pglite', '@electric-sql/pglite-pgvector']) {
    const dist = path.dirname(require.resolve(name));
    hash.update(readFileSync(path.join(dist, '../package.json')));
  }
  for (const file of ['./build-template.js', './embedded/engine.js'])
    hash.update(readFileSync(fileURLToPath(new URL(file, import.meta.url))));
  return hash.digest('hex');
}

const current = fingerprint();
if (!existsSync(TEMPLATE) || !existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== current) {
  // Only now: loading the engine takes longer than finding that nothing is to be done.
  const { openEngine } = await import('./embedded/engine.js');
  const db = await openEngine({});
  await db.exec('create extension vector; create extension pg_trgm; checkpoint');
  const dump = await db.dumpDataDir('gzip');
  mkdirSync(path.dirname(TEMPLATE), { recursive: true });
  // Renamed when complete: a build that is cut off leaves the old one.
  writeFileSync(`${TEMPLATE_ARCHIVE}.new`, Buffer.from(await dump.arrayBuffer()));
  renameSync(`${TEMPLATE_ARCHIVE}.new`, TEMPLATE_ARCHIVE);
  const draft = `${TEMPLATE}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft);
  await tar.extract({ file: TEMPLATE_ARCHIVE, cwd: draft });
  rmSync(TEMPLATE, { recursive: true, force: true });
  renameSync(draft, TEMPLATE);
  writeFileSync(STAMP, current);
}
// The engine keeps the process alive even when it is closed.
process.exit(0);
