import { afterEach, describe, expect, it } from 'vitest';
import { pluginSource, writePlugin, type PluginOnDisk } from '../../../test/support/plugin-folder.js';
import { type TestedPlugin, testPlugin } from './index.js';

describe('testPlugin', () => {
  let folder: PluginOnDisk | undefined;
  let plugin: TestedPlugin | undefined;

  afterEach(async () => {
    await plugin?.close();
    folder?.remove();
    plugin = undefined;
  });

  async function start(
    setup: string,
    manifest: Record<string, unknown>,
    options: Parameters<typeof testPlugin>[1] = {},
  ) {
    folder = writePlugin('tested', pluginSource(setup), manifest);
    plugin = await testPlugin(folder.dir, options);
    return plugin;
  }

  it.each([
    ['a service that it does not have', '', { provides: { math: '1.0.0' } }, /provides "math"/],
    [
      'a schedule to the second',
      "schedule.cron('x', '* * * * * *', () => {});",
      { permissions: { schedule: true } },
      /five fields/,
    ],
  ])('says at the start what is wrong with %s', async (_, setup, manifest, problem) => {
    await expect(start(setup, manifest)).rejects.toThrow(problem);
  });

  it('shows a redirect as the plugin answers it, and says that a route comes too late', async () => {
    const tested = await start(
      `http.get('/', () => Response.redirect('https://example.com/', 302));
       http.get('/late', async () => { try { await http.get('/later', () => 1); return 'no'; } catch (e) { return e.code; } });`,
      {},
    );
    const answer = await tested.request('GET', '/x/tested');
    expect([answer.status, answer.headers.get('location')]).toEqual([302, 'https://example.com/']);
    await tested.request('GET', '/x/tested/late');
    expect((await tested.request('GET', '/x/tested/later')).status).toBe(404);
    await expect.poll(() => tested.logs.map(({ message }) => message).join()).toMatch(/http\.route after .*too late/);
  });

  it('fakes fetch, and checks permissions all the same', async () => {
    const tested = await start(
      `http.get('/:host', async ({ params }) => { try { return await (await fetch('https://' + params.host + '/x')).json(); } catch (e) { return { code: e.code }; } });`,
      { permissions: { net: ['https://api.example.com'] } },
      { fetch: (request) => Response.json({ url: request.url }) },
    );
    expect((await tested.request('GET', '/x/tested/api.example.com')).json()).toEqual({
      url: 'https://api.example.com/x',
    });
    expect((await tested.request('GET', '/x/tested/evil.example.com')).json()).toEqual({ code: 'NET_DENIED' });
  });

  it('fakes services and secrets', async () => {
    const tested = await start(
      "http.get('/', async () => ({ sum: await services.use('math').add({ a: 1 }), key: await secrets.has('KEY') }));",
      { consumes: { math: '^1.0.0' }, permissions: { secrets: ['KEY'] } },
      { services: { math: { add: (input) => ({ got: input }) } }, secrets: ['KEY'] },
    );
    expect((await tested.request('GET', '/x/tested')).json()).toEqual({ sum: { got: { a: 1 } }, key: true });
  });

  it('moves the clock by hand', async () => {
    const tested = await start(
      "let ticks = 0; setInterval(() => { ticks++; }, 1000); http.get('/', () => ({ ticks, now: Date.now(), year: new Date().getUTCFullYear() }));",
      {},
      { clock: new Date('2031-05-06T00:00:00Z') },
    );
    expect((await tested.request('GET', '/x/tested')).json()).toEqual({
      ticks: 0,
      now: Date.UTC(2031, 4, 6),
      year: 2031,
    });
    await tested.clock.advance(3_500);
    expect((await tested.request('GET', '/x/tested')).json()).toEqual({
      ticks: 3,
      now: Date.UTC(2031, 4, 6) + 3_500,
      year: 2031,
    });
  });

  it('delivers events, records those of the plugin, and keeps its logs', async () => {
    const tested = await start(
      "events.on('user.created', async (event) => { log.info({ id: event.data.id }, 'seen'); await events.emit('tested.done', event.data); });",
      { permissions: { events: { publish: ['tested.*'], subscribe: ['user.created'] } } },
    );
    await tested.emit('user.created', { id: 7 });
    await expect.poll(() => tested.events.map(({ type }) => type)).toContain('tested.done');
    expect(tested.logs).toContainEqual(expect.objectContaining({ message: 'seen', fields: { id: 7 } }));
  });

  it('keeps what is written to the console, also uncaught errors', async () => {
    const tested = await start(
      `http.get('/', () => {
        console.log('%s is %d', 'x', 5, { a: [1] }, new Map([[1, 'y']]));
        console.warn(new RangeError('careful'));
        setTimeout(() => { throw new TypeError('late'); });
        void Promise.reject(new Error('alone'));
      });`,
      {},
    );
    await tested.request('GET', '/x/tested');
    const logged = (level: string, message: string) =>
      expect
        .poll(() => tested.logs)
        .toContainEqual(expect.objectContaining({ level, message: expect.stringContaining(message) }));
    await logged('info', 'x is 5 { a: [ 1 ] } Map(1) { 1 => "y" }');
    await logged('warn', 'RangeError: careful');
    await logged('error', 'Uncaught TypeError: late');
    await logged('error', 'Uncaught: alone');
    expect(JSON.stringify(tested.logs)).not.toMatch(/file:\/\/|node:internal/);
  });

  it('says why a plugin does not start, in the author’s own file', async () => {
    await expect(start("throw new Error('no luck');", {})).rejects.toThrow(/no luck/);
    await expect(start('this is no code', {})).rejects.toThrow(/src\/index\.ts:3:\d+/);
  });
});
