import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../testing.js';

/** A small disk of its own, which only the superuser can have. */
function mount(): string | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), 'atoll-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=220m', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

let disk: string | undefined;
const BLOCK = Buffer.alloc(65_536);
const filler = () => path.join(disk!, 'filler');

/** Takes what is free on the disk, but for so many bytes. */
function fill(leave = 0): void {
  const file = openSync(filler(), 'w');
  const { bavail, bsize } = statfsSync(disk!);
  try {
    for (let left = bavail * bsize - leave; left > 0; left -= BLOCK.length) writeSync(file, BLOCK);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  } finally {
    closeSync(file);
  }
}

describe('a full disk', () => {
  let made: TestDatabase;
  const free = () => rmSync(filler(), { force: true });
  const count = async () => (await made.database.query<{ n: number }>('select count(*)::int as n from kept'))[0]!.n;
  const insert = () => made.database.query("insert into kept values ('more')");
  const code = (work: Promise<unknown>) => work.then(() => 'ok').catch((error: { code: string }) => error.code);

  beforeAll(async () => {
    disk = mount();
    if (disk === undefined) return;
    made = await openTestDatabase({ dataDir: path.join(disk, 'database'), config: { url: undefined } });
    await made.database.query('create table kept (text text)');
    await insert();
  });
  afterAll(async () => {
    if (disk === undefined) return;
    await made.close();
    execFileSync('umount', [disk]);
    rmSync(disk, { recursive: true });
  });

  it('refuses writes, goes on reading, and writes again when there is space', async ({ skip }) => {
    skip(disk === undefined, 'only the superuser can have a small disk');
    const before = await count();
    fill();
    await expect.poll(() => code(insert()), { timeout: 15_000 }).toBe('DATABASE_FULL');
    expect(await count()).toBeGreaterThanOrEqual(before);
    expect(await code(insert())).toBe('DATABASE_FULL');
    free();
    await expect.poll(() => code(insert()), { timeout: 15_000 }).toBe('ok');
  });

  it('that fills up within one statement ends the engine, which comes back with what was written', async ({ skip }) => {
    skip(disk === undefined, 'only the superuser can have a small disk');
    const before = await count();
    fill(60_000_000);
    // Its log alone takes more than is free, and begins to be written before anybody sees that the disk is full.
    const large = made.database.query(
      "select count(pg_logical_emit_message(true, 'large', repeat('x', 100000))) from generate_series(1, 4000)",
    );
    expect(await code(large)).toBe('DATABASE_FULL');
    await expect.poll(() => made.database.reachable).toBe(false);
    expect(await code(insert())).toBe('DATABASE_UNAVAILABLE');
    free();
    await expect.poll(() => code(insert()), { timeout: 30_000 }).toBe('ok');
    expect(await count()).toBe(before + 1);
  });
});
