import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGuestSuites } from '../support/guest-suites.js';
import { isAlive } from '../support/processes.js';

/* Attacks on the bridge. The host has to survive each in one piece: the same cells all along, no crash counted. */
const FOLDER = fileURLToPath(new URL('./hardening/', import.meta.url));
const { suites, close, cells } = await startGuestSuites(FOLDER, ['hardening'], {
  permissions: { net: ['http://127.0.0.1:1'] },
});
const [suite] = suites;

describe('a hostile guest', () => {
  let before: number[];
  beforeAll(() => {
    before = cells();
    expect(before.length).toBeGreaterThan(0);
  });
  afterAll(async () => expect(await close()).toBe(0));

  it.each(suite!.cases)('%s', async (name) => {
    expect(await suite!.run(name)).toBeNull();
    expect(before.filter((pid) => !isAlive(pid))).toEqual([]);
  });
});
