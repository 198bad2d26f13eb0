import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createTestDatabase, TEST_SERVER } from '../../kernel/src/database/testing.js';
import { atoll, atollJson } from '../support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { Needles } from '../support/needles.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';
import { cellsOf } from '../support/processes.js';

/*
 * A secret goes to a server that sends it back in every way it can, to a plugin that passes on, logs, publishes, stores and keeps all it
 * sees. The control goes the same ways and is no secret: where it is not found, the search would not find the secret either.
 */

const SECRET = `sk-"quoted"/+%~ ${randomBytes(12).toString('base64')}`;
const CONTROL = `control-${randomBytes(12).toString('hex')}`;
const secret = new Needles(SECRET);
const control = new Needles(CONTROL);

const SOURCE = (url: string) =>
  pluginSource(`
  const kept = [];
  const notes = storage.collection('notes');
  http.post('/use', { body: Type.Object({ path: Type.String(), redirect: Type.String(), control: Type.String() }) }, async ({ body }) => {
    const headers = { authorization: 'Bearer ' + secrets.ref('LEAKY'), 'x-key': secrets.ref('LEAKY'), 'x-control': body.control };
    let seen;
    try {
      const response = await fetch('${url}' + body.path, { headers, redirect: body.redirect });
      seen = { url: response.url, status: response.statusText, headers: [...response.headers], text: await response.text() };
    } catch (error) {
      seen = { message: error.message, stack: error.stack, cause: String(error.cause), extras: error.extras, control: body.control };
    }
    kept.push(JSON.stringify(seen), seen);
    log.info({ seen }, 'seen ' + JSON.stringify(seen));
    await events.emit('spy.seen', seen);
    await notes.insert({ seen });
    await storage.blobs.put(JSON.stringify(seen));
    await cache.set('seen', seen);
    metrics.increment('uses');
    return seen;
  });
  http.post('/throw', { body: Type.Object({ path: Type.String(), control: Type.String() }) }, async ({ body }) => {
    const headers = { authorization: 'Bearer ' + secrets.ref('LEAKY'), 'x-control': body.control };
    throw new Error('failed with ' + await (await fetch('${url}' + body.path, { headers })).text());
  });
  http.get('/kept', () => kept.length);
`);

function echoServer(): Server {
  return createServer((request, response) => {
    const auth = request.headers.authorization ?? '';
    const all = { auth, key: request.headers['x-key'], control: request.headers['x-control'] };
    if (request.url === '/redirect') {
      response.writeHead(302, { location: `/?a=${encodeURIComponent(auth)}&c=${all.control}` }).end();
      return;
    }
    if (request.url === '/cut') {
      response.writeHead(200, { 'content-length': '100000' }).write(JSON.stringify(all));
      setTimeout(() => response.destroy(), 50);
      return;
    }
    response.writeHead(200, `OK ${all.control}`, { 'x-echo': auth, 'x-control': String(all.control) });
    const base64 = (text: string, encoding: 'base64' | 'base64url' = 'base64') => Buffer.from(text).toString(encoding);
    const body = JSON.stringify({
      all,
      in64: [auth, `1${auth}`, `12${auth}`].flatMap((text) => [base64(text), base64(text, 'base64url')]),
      url: encodeURIComponent(auth),
      again: JSON.stringify({ auth }),
    });
    // In pieces, as if it were a slow stream.
    const half = body.indexOf(SECRET.slice(0, 4)) + 6;
    response.write(`${auth}\n${body.slice(0, half)}`);
    setTimeout(() => response.end(body.slice(half)), 20);
  });
}

describe.runIf(process.platform === 'linux')('a secret', () => {
  let upstream: Server;
  let plugin: PluginOnDisk;
  let kernel: TestKernel;
  let folder: string;
  let dataDir: string;
  let socket: WebSocket;
  let databaseUrl: string | undefined;
  let dropDatabase = async () => {};
  const events: string[] = [];
  const answers: string[] = [];

  beforeAll(async () => {
    upstream = echoServer().listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
    plugin = writePlugin('spy', SOURCE(url), {
      permissions: {
        net: [url],
        secrets: ['LEAKY'],
        storage: true,
        cache: true,
        events: { publish: ['spy.*'], subscribe: [] },
      },
    });
    folder = await mkdtemp(path.join(tmpdir(), 'atoll-leaks-'));
    dataDir = path.join(folder, 'data');
    const server = TEST_SERVER && (await createTestDatabase(TEST_SERVER));
    if (server) [databaseUrl, dropDatabase] = [server.url, server.drop];
    kernel = await startTestKernel({
      env: {
        ATOLL_DATA_DIR: dataDir,
        ATOLL_LOG__LEVEL: 'trace',
        ATOLL_DATABASE__SLOW_QUERY_MS: '0',
        ...(server && { DATABASE_URL: server.url }),
      },
      pluginPath: [plugin.dir],
    });
    const env = { ATOLL_URL: kernel.url, ATOLL_ADMIN_KEY: kernel.key };
    const { host } = new URL(url);
    const set = await atoll(folder, ['secrets', 'set', 'LEAKY', '--host', host, '--plugin', 'spy'], env, `${SECRET}\n`);
    expect(set).toMatchObject({ code: 0, stdout: 'LEAKY: version 1 is set.\n' });
    answers.push(set.stdout, set.stderr);
    socket = new WebSocket(`${kernel.url.replace('http', 'ws')}/ws`, {
      headers: { authorization: `Bearer ${kernel.key}` },
    });
    await once(socket, 'open');
    socket.on('message', (data: Buffer) => events.push(data.toString()));
    socket.send(JSON.stringify({ id: 1, type: 'subscribe', topics: ['**'] }));
    await vi.waitFor(() => expect(events).toHaveLength(1));
  });
  afterAll(async () => {
    socket?.terminate();
    await kernel?.stop();
    plugin?.remove();
    upstream?.close();
    await dropDatabase();
    await rm(folder, { recursive: true, force: true });
  });

  const ask = async (method: string, target: string, body?: unknown): Promise<string> => {
    const response = await kernel.call(target, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = `${JSON.stringify([...response.headers])}\n${await response.text()}`;
    answers.push(text);
    return text;
  };
  const use = (path: string, redirect = 'follow') => ask('POST', '/x/spy/use', { path, redirect, control: CONTROL });

  it('is sent, and comes back blackened', async () => {
    const seen = await use('/');
    expect(seen).toContain('Bearer ****');
    expect(secret.in(seen)).toEqual([]);
    expect(control.in(seen)).toContain('plain');
    for (const redirect of ['follow', 'manual', 'error']) await use('/redirect', redirect);
    await use('/cut');
    expect(await ask('POST', '/x/spy/throw', { path: '/', control: CONTROL })).toContain('PLUGIN_ERROR');
    expect(await ask('GET', '/x/spy/kept')).toMatch(/10$/);
    expect(answers.flatMap((text) => secret.in(text))).toEqual([]);
  });

  it('is in no error of what goes wrong with it', async () => {
    for (const body of [
      { name: 'LEAKY', value: SECRET },
      { name: 'bad name', value: SECRET },
      { name: 'NEW', value: SECRET, hosts: SECRET },
      { name: SECRET, value: SECRET },
      { value: `${SECRET}\n` },
    ])
      expect(
        secret.in(await ask('POST', '/api/v1/secrets', { ...body, ...(body.name === SECRET && { name: 'x y' }) })),
      ).toEqual([]);
    await ask('POST', '/api/v1/secrets/LEAKY/versions', { value: SECRET, more: 1 });
    await ask('POST', '/api/v1/secrets/LEAKY/versions', { value: SECRET });
    await ask('POST', '/api/v1/secrets/NOT_THERE/versions', { value: SECRET });
    await ask('GET', '/api/v1/secrets');
    await ask('GET', '/api/v1/secrets/LEAKY');
    await ask('GET', '/api/v1/secrets/LEAKY/versions');
    expect(answers.flatMap((text) => secret.in(text))).toEqual([]);
  });

  it('is in no log, event or metric', async () => {
    expect(secret.in(kernel.output())).toEqual([]);
    expect(control.in(kernel.output())).toContain('plain');
    const logs = await ask('GET', '/api/v1/plugins/spy/logs');
    expect(secret.in(logs)).toEqual([]);
    expect(control.in(logs)).toContain('plain');
    await vi.waitFor(() => expect(control.in(events.join('\n'))).toContain('plain'));
    expect(secret.in(events.join('\n'))).toEqual([]);
    const metrics = await ask('GET', '/metrics');
    expect(metrics).toMatch(/atoll_plugin_uses\{plugin="spy"\} 5/);
    expect(secret.in(metrics)).toEqual([]);
  });

  it('is not in the audit trail, a backup, or any file of the data directory', async () => {
    const env = {
      ATOLL_URL: kernel.url,
      ATOLL_ADMIN_KEY: kernel.key,
      ATOLL_DATA_DIR: dataDir,
      ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }),
    };
    const trail = path.join(folder, 'audit.ndjson');
    await atollJson(folder, ['audit', 'export', trail], env);
    expect(await readFile(trail, 'utf8')).toContain('secret:LEAKY');
    expect(secret.in(await readFile(trail))).toEqual([]);
    await ask('PUT', '/api/v1/secrets/LEAKY/grants/spy');
    const backup = path.join(folder, 'atoll.backup');
    await atollJson(folder, ['db', 'backup', backup], env);
    const dump = gunzipSync(await readFile(backup));
    expect(dump.includes('LEAKY')).toBe(true);
    expect(control.in(dump)).not.toEqual([]);
    expect(secret.in(dump)).toEqual([]);
    expect(secret.inFolder(dataDir)).toEqual([]);
    if (!TEST_SERVER) expect(control.inFolder(dataDir)).not.toEqual([]);
  });

  it('is nowhere in the memory of the process that the plugin runs in', async () => {
    const cells = cellsOf(kernel.process.pid!);
    expect(cells.length).toBeGreaterThan(0);
    expect(cells.flatMap((pid) => control.inMemory(pid))).toContain('plain');
    expect(cells.flatMap((pid) => secret.inMemory(pid))).toEqual([]);
    // So it would be found: the kernel has just sent it.
    await use('/');
    expect(secret.inMemory(kernel.process.pid!)).toContain('plain');
  });
});
