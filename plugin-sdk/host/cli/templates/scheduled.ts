import { template } from './files.js';

/** Work by the clock. */
export const scheduled = template({
  atoll: (id) => ({ mounts: [`/api/v1/${id}`], permissions: { schedule: true, storage: true } }),
  about: (id) =>
    `every night at three it takes away notes that are older than a week. \`POST /api/v1/${id}\` writes a note, \`GET /api/v1/${id}\` lists them, and \`POST /api/v1/${id}/tidy\` does at once what the schedule does; \`GET /api/v1/jobs\` shows its runs. A run that is interrupted is done again.`,
  entry: () => `import { definePlugin, Type } from '@atoll/plugin-sdk';

const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

export default definePlugin(({ http, schedule, storage, log }) => {
  const notes = storage.collection('notes', {
    schema: Type.Object({ text: Type.String(), at: Type.Number() }),
    indexes: { at: 'range' },
  });

  async function tidy(): Promise<{ removed: number }> {
    const { items } = await notes.find({ where: { at: { lt: Date.now() - WEEK_MS } }, limit: 100 });
    for (const { id } of items) await notes.delete(id);
    log.info({ removed: items.length }, 'tidied up');
    return { removed: items.length };
  }

  // Minute, hour, day, month, day of the week. What it answers is kept as the result of the run.
  schedule.cron('tidy', '0 3 * * *', { timeZone: 'UTC' }, () => tidy());

  http.post('/', { body: Type.Object({ text: Type.String({ minLength: 1, maxLength: 1000 }) }) }, async ({ body }) => {
    const { id } = await notes.insert({ text: body.text, at: Date.now() });
    return { id };
  });
  http.get('/', async () => ({ items: (await notes.find({ limit: 100 })).items.map(({ id, text }) => ({ id, text })) }));
  http.post('/tidy', () => tidy());
});
`,
  test: (id) => `import { testPlugin } from '@atoll/plugin-sdk/testing';
import { expect, it } from 'vitest';

it('takes away what is older than a week, and only that', async () => {
  const plugin = await testPlugin(new URL('..', import.meta.url), { clock: new Date('2026-01-01T00:00:00Z') });
  const tidy = async () => (await plugin.request('POST', '/api/v1/${id}/tidy')).json();
  try {
    await plugin.request('POST', '/api/v1/${id}', { json: { text: 'old' } });
    await plugin.clock.advance(8 * 24 * 60 * 60 * 1000);
    await plugin.request('POST', '/api/v1/${id}', { json: { text: 'new' } });
    expect(await tidy()).toEqual({ removed: 1 });
    expect((await plugin.request('GET', '/api/v1/${id}')).json()).toMatchObject({ items: [{ text: 'new' }] });
    expect(await tidy()).toEqual({ removed: 0 });
  } finally {
    await plugin.close();
  }
});
`,
});
