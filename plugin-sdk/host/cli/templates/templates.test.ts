import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { atoll, atollJson } from '../../../../test/support/atoll-cli.js';
import { startTestKernel } from '../../../../test/support/kernel.js';
import { TEMPLATES } from './index.js';

let dir: string;
const names = Object.keys(TEMPLATES);

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'atoll-templates-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

it.each(names)('%s: what it writes passes its own tests, outside this repository', async (name) => {
  await atoll(dir, ['create', `a-${name}`, '--template', name]);
  const report = await atollJson<{ passed: boolean; tests: unknown[] }>(dir, ['test', `a-${name}`]);
  expect(report).toMatchObject({ passed: true });
  expect(report.tests.length).toBeGreaterThan(0);
});

it('starts what they write, and a model that is provided answers', async () => {
  const kernel = await startTestKernel({ pluginPath: [dir] });
  try {
    for (const name of names)
      expect(await (await kernel.call(`/api/v1/plugins/a-${name}`)).json()).toMatchObject({ state: 'active' });
    const reply = await kernel.call('/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'a-provider/echo', messages: [{ role: 'user', content: 'Hello!' }] }),
    });
    expect(await reply.json()).toMatchObject({ choices: [{ message: { content: 'Hello!' } }] });
  } finally {
    await kernel.stop();
  }
});

it('tells which tests fail, and where', async () => {
  await atoll(dir, ['create', 'a-failing']);
  const test = "import { expect, it } from 'vitest';\nit('fails', () => {\n  expect(1).toBe(2);\n});\n";
  await writeFile(path.join(dir, 'a-failing/src/index.test.ts'), test);
  const { code, stdout } = await atoll(dir, ['test', 'a-failing', '--json']);
  expect({ code, report: JSON.parse(stdout) as unknown }).toMatchObject({
    code: 1,
    report: { passed: false, tests: [{ state: 'failed', errors: [expect.stringContaining('(src/index.test.ts:3:')] }] },
  });
  await rm(path.join(dir, 'a-failing/src/index.test.ts'));
  expect(await atoll(dir, ['test', 'a-failing'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('has no tests') as string,
  });
});
