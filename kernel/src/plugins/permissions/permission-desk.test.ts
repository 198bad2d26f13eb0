import { parseManifest } from '@atoll/registry';
import pino from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../../database/testing.js';
import { EventBus } from '../../events/index.js';
import { IdentityChanges } from '../../identity/changes.js';
import { parseGrants } from '../../net/index.js';
import { PermissionDesk } from './permission-desk.js';
import { nothing } from './permission-set.js';
import { PermissionStore } from './permission-store.js';

const manifest = parseManifest(
  {
    name: 'asker',
    version: '1.0.0',
    atoll: {
      id: 'asker',
      permissions: { net: ['https://*.example.com'], storage: true, events: { publish: ['a.*'], subscribe: [] } },
      consumes: { llm: '^1.0.0' },
    },
  },
  'asker',
);
const parseNet = (entries: readonly string[]) => parseGrants({ plugin: 'asker', entries, config: {} });

let test: TestDatabase;
const ends: (() => Promise<void>)[] = [];

/** A desk as another node, or the same one after a restart, has it. */
async function openDesk() {
  const refused: string[] = [];
  const changes = new IdentityChanges(test.database, pino({ level: 'silent' }));
  const desk = new PermissionDesk({
    store: new PermissionStore(test.database),
    events: new EventBus({ queueLimit: 10 }),
    changes: () => changes,
    onRefused: (plugin, { kind, value }, code) => refused.push(`${plugin} ${kind} ${value} ${code}`),
    onProblem: (error) => {
      throw error;
    },
  });
  await changes.start();
  await desk.start();
  ends.push(
    () => desk.close(),
    () => changes.close(),
  );
  return { desk, refused };
}

beforeAll(async () => {
  test = await openTestDatabase();
});
afterAll(async () => {
  for (const end of ends) await end();
  await test.close();
});

it('holds at once for what runs, and for what starts later, here and elsewhere', async () => {
  const { desk } = await openDesk();
  const other = test.url === undefined ? undefined : await openDesk();
  const running = desk.issue(manifest, parseNet);
  const elsewhere = other?.desk.issue(manifest, parseNet);
  let changes = 0;
  running.onChange = () => changes++;
  expect(running.granted).toBe(manifest);
  const left = { ...nothing(), net: ['https://api.example.com'] };
  expect(await desk.narrow(manifest, left)).toMatchObject({ granted: left, narrowed: left });
  expect(changes).toBeGreaterThan(0);
  expect(running.grants.map(({ host }) => host)).toEqual(['api.example.com']);
  expect(running.granted).toMatchObject({ permissions: { storage: false }, consumes: {} });
  expect(desk.issue(manifest, parseNet).set).toEqual(left);
  if (elsewhere) await expect.poll(() => elsewhere.set).toEqual(left);
  const { desk: later } = await openDesk();
  expect(later.issue(manifest, parseNet).set).toEqual(left);
  running.release();
  await desk.narrow(manifest, undefined);
  // Whoever has ended is not told.
  expect(running.set).toEqual(left);
  expect(desk.view(manifest)).toMatchObject({ narrowed: null, granted: { storage: true, services: ['llm'] } });
});

it('records what is used only while it observes, and keeps it', async () => {
  const { desk } = await openDesk();
  const permits = desk.issue(manifest, parseNet);
  permits.used({ kind: 'storage' });
  expect(desk.usage(manifest, [], parseNet)).toMatchObject({ observing: false, used: [], proposal: null });
  await desk.observe(manifest, true);
  permits.used({ kind: 'net', value: 'https://api.example.com' });
  permits.used({ kind: 'events.publish', value: 'a.b' });
  await desk.save();
  const { desk: later } = await openDesk();
  const usage = later.usage(manifest, [], parseNet);
  expect(usage).toMatchObject({
    observing: true,
    used: [
      { kind: 'events.publish', value: 'a.b', count: 1 },
      { kind: 'net', value: 'https://api.example.com', count: 1 },
    ],
  });
  expect(usage.proposal).toEqual({
    ...nothing(),
    net: ['https://api.example.com'],
    events: { publish: ['a.b'], subscribe: [] },
  });
  // Observing grants nothing, and its end leaves the proposal; beginning anew forgets.
  expect(permits.granted).toBe(manifest);
  await desk.observe(manifest, false);
  permits.used({ kind: 'storage' });
  expect(desk.usage(manifest, [], parseNet)).toMatchObject({ observing: false, used: usage.used });
  await desk.observe(manifest, true);
  expect(desk.usage(manifest, [], parseNet)).toMatchObject({ used: [], proposal: nothing() });
  await desk.observe(manifest, false);
});

it('tells of what is refused, and tells only so many names apart', async () => {
  const { desk, refused } = await openDesk();
  const permits = desk.issue(manifest, parseNet);
  for (let n = 0; n < 100; n++) permits.refused({ kind: 'events.publish', value: `b.${n}` }, 'PERMISSION_DENIED');
  expect(new Set(refused).size).toBe(31);
  expect(desk.view(manifest).refused).toBe(100);
  expect(desk.usage(manifest, [], parseNet)).toMatchObject({ refusedOthers: 70 });
});
