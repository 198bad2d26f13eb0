import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { startGuestSuites } from '../support/guest-suites.js';

/* The web platform as plugins see it: every case runs inside an isolate, bundled and started the way plugins are. */
const FOLDER = fileURLToPath(new URL('./web/', import.meta.url));
const only = process.env.SUITES?.split(',').filter(Boolean) ?? [];
const names = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.cases.ts'))
  .map((file) => file.slice(0, -'.cases.ts'.length))
  .filter((name) => only.length === 0 || only.includes(name));

const { suites, close } = await startGuestSuites(FOLDER, names);
afterAll(async () => expect(await close()).toBe(0));

for (const suite of suites) {
  describe(suite.name, () => {
    it.each(suite.cases)('%s', async (name) => expect(await suite.run(name)).toBeNull());
  });
}
