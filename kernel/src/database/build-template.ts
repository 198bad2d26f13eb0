import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PGlite } from '@electric-sql/pglite';
import * as tar from 'tar';
import { type Template, templateArchive, templateFolder } from './embedded/template.js';

/*
 * The build step after tsc: makes the prepared data directories of the embedded database that are out of date. What is only needed
 * then is loaded then: that takes longer than finding that nothing is to be done.
 */

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const stamp = (template: Template) => `${templateFolder(template)}.stamp`;

/** The engine, its extensions and how they are opened: what an empty database is made of. */
function engineFiles(): string[] {
  const require = createRequire(import.meta.url);
  const packages = ['@electric-sql/pglite', '@electric-sql/pglite-pgvector'].map((name) =>
    path.join(path.dirname(require.resolve(name)), '../package.json'),
  );
  return [...packages, here('./build-template.js'), here('./embedded/engine.js')];
}

function migrationFiles(): string[] {
  const folder = here('./migrations');
  const names = readdirSync(folder).filter((name) => name.endsWith('.js'));
  return names.toSorted().map((name) => path.join(folder, name));
}

/** Changes with any of the files. */
function fingerprint(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex');
}

/** Makes the template when what it is made of has changed; one that is cut off leaves the old one. */
async function refresh(template: Template, files: readonly string[], make: () => Promise<PGlite>): Promise<void> {
  const current = fingerprint(files);
  const [folder, archive] = [templateFolder(template), templateArchive(template)];
  if (existsSync(folder) && existsSync(stamp(template)) && readFileSync(stamp(template), 'utf8') === current) return;
  rmSync(stamp(template), { force: true });
  const db = await make();
  await db.exec('checkpoint');
  const dump = await db.dumpDataDir('gzip');
  writeFileSync(`${archive}.new`, Buffer.from(await dump.arrayBuffer()));
  renameSync(`${archive}.new`, archive);
  const draft = `${folder}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft);
  await tar.extract({ file: archive, cwd: draft });
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
  writeFileSync(stamp(template), current);
}

async function emptyDatabase(): Promise<PGlite> {
  const { openEngine } = await import('./embedded/engine.js');
  const db = await openEngine({});
  await db.exec('create extension vector; create extension pg_trgm');
  return db;
}

/** As the kernel would make it of an empty one, which it is given because of migrations that are named. */
async function migratedDatabase(folder: string): Promise<PGlite> {
  const [{ openEngine }, { Database }, { databaseDefaults }, { MIGRATIONS }, { pino }, { Metrics }] = await Promise.all(
    [
      import('./embedded/engine.js'),
      import('./database.js'),
      import('./testing.js'),
      import('./migrations/index.js'),
      import('pino'),
      import('../telemetry/metrics.js'),
    ],
  );
  const [config, log, metrics] = [databaseDefaults(), pino({ level: 'silent' }), new Metrics()];
  const database = new Database({ config, log, metrics, dataDir: folder, migrations: MIGRATIONS });
  await database.open();
  await database.close();
  return openEngine({ dataDir: folder });
}

mkdirSync(path.dirname(templateFolder('empty')), { recursive: true });
await refresh('empty', engineFiles(), emptyDatabase);
const work = mkdtempSync(`${templateFolder('migrated')}.work-`);
try {
  await refresh('migrated', [...engineFiles(), ...migrationFiles()], () => migratedDatabase(path.join(work, 'db')));
} finally {
  rmSync(work, { recursive: true, force: true });
}
// The engine keeps the process alive even when it is closed.
process.exit(0);
