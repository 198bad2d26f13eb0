import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

const TIMEOUT_MS = 3_000;

/** What a handler answers → status and code of the problem that the client gets. */
const ODD: Record<string, [answer: string, status: number, code: string]> = {
  circular: ['const a = {}; a.a = a; return a;', 502, 'PLUGIN_BAD_RESPONSE'],
  bigint: ['return { n: 1n };', 502, 'PLUGIN_BAD_RESPONSE'],
  'a bare bigint': ['return 1n;', 502, 'PLUGIN_BAD_RESPONSE'],
  'fifty megabytes': ["return { text: 'x'.repeat(50_000_000) };", 502, 'PLUGIN_BAD_RESPONSE'],
  'a function': ['return () => 1;', 502, 'PLUGIN_BAD_RESPONSE'],
  'a symbol': ['return Symbol();', 502, 'PLUGIN_BAD_RESPONSE'],
  'a throwing getter': ["return { get a() { throw new Error('no'); } };", 502, 'PLUGIN_BAD_RESPONSE'],
  'a throwing toJSON': ["return { toJSON() { throw new RangeError('no'); } };", 502, 'PLUGIN_BAD_RESPONSE'],
  never: ['await new Promise(() => {});', 504, 'PLUGIN_TIMEOUT'],
  'a thrown string': ["throw 'text';", 502, 'PLUGIN_ERROR'],
  'a thrown null': ['throw null;', 502, 'PLUGIN_ERROR'],
  'a thrown proxy': ["throw new Proxy({}, { get() { throw new Error('trap'); } });", 502, 'PLUGIN_ERROR'],
  'a rejected thenable': ["return { then(_, no) { no(new Error('late')); } };", 502, 'PLUGIN_ERROR'],
  'a thenable that never settles': ['return { then() {} };', 504, 'PLUGIN_TIMEOUT'],
  'a status out of range': ["return new Response('x', { status: 599, headers: { 'x-a': 'b' } });", 599, ''],
  'a stream that throws at once': ["return (async function* () { throw new Error('no'); })();", 502, 'PLUGIN_ERROR'],
  'a used response': ["const r = new Response('x'); await r.text(); return r;", 502, 'PLUGIN_ERROR'],
};

const names = Object.keys(ODD);
let kernel: TestKernel;
let plugin: PluginOnDisk;

beforeAll(async () => {
  const routes = names.map((name, at) => `http.get('/${at}', async () => { ${ODD[name]![0]} });`);
  plugin = writePlugin('odd', pluginSource(`http.get('/', () => ({ ok: true }));\n${routes.join('\n')}`), {
    limits: { memoryMb: 256, timeoutMs: TIMEOUT_MS },
  });
  kernel = await startTestKernel({ pluginPath: [plugin.dir] });
}, 60_000);

afterAll(async () => {
  await kernel?.stop();
  plugin?.remove();
});

it.each(names.map((name, at) => ({ name, at })))(
  '$name ends as a clear problem, and nothing else suffers',
  async ({ name, at }) => {
    const [, status, code] = ODD[name]!;
    const response = await kernel.call(`/x/odd/${at}`);
    const text = await response.text();
    expect(response.status, text).toBe(status);
    if (code !== '') {
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect(JSON.parse(text)).toMatchObject({ code, status });
    }
    expect(await (await kernel.call('/x/odd')).json()).toEqual({ ok: true });
  },
);

it('nothing is left in flight', async () => {
  const inFlight = async () => {
    const info = (await (await kernel.call('/api/v1/plugins/odd')).json()) as { resources: { callsInFlight: number } };
    return info.resources.callsInFlight;
  };
  await expect.poll(inFlight).toBe(0);
  expect(await (await kernel.call('/metrics')).text()).toMatch(/^atoll_http_requests_in_flight 1$/m);
});
