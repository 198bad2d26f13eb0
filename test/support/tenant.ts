import { expect, vi } from 'vitest';
import { PASSWORD, type TestKernel } from '../../kernel/src/identity/testing.js';

/** What an organisation has, by kind. */
export interface Belongings {
  user: string;
  session: string;
  key: string;
  role: string;
  note: string;
  sha256: string;
  cacheKey: string;
  job: string;
  cursor: string;
}

/** An organisation with people, keys, and something of every kind in the `vault` plugin; all of its texts have its mark in them. */
export class Tenant {
  private constructor(
    private readonly test: TestKernel,
    readonly id: string,
    readonly mark: string,
    readonly has: Belongings,
    /** Texts that only its own may see. */
    readonly secrets: readonly string[],
    /** Of these, what is in no request of anybody else. */
    readonly unnamed: readonly string[],
    readonly token: string,
  ) {}

  static async create(test: TestKernel, id: string): Promise<Tenant> {
    const mark = `${id}mark`;
    await made(test.call('POST', '/api/v1/organisations', { body: { id, name: `${mark} Ltd` } }));
    const user = await test.user(`${mark}-admin`, ['admin'], id);
    const { accessToken: as } = await test.login(`${mark}-admin`, { organisation: id });
    const call = (method: string, path: string, body?: object) => made(test.call(method, path, { as, body }));
    await call('POST', '/api/v1/users', { username: `${mark}-other`, password: PASSWORD, roles: ['user'] });
    const sessions = (await call('GET', '/api/v1/auth/sessions')).items as { id: string }[];
    const key = await call('POST', '/api/v1/api-keys', { name: `${mark} key`, scopes: ['*'] });
    await call('PUT', `/api/v1/roles/${mark}`, { permissions: ['plugins.call'] });
    const notes = [];
    for (const n of [1, 2])
      notes.push(await call('POST', '/x/vault/notes', { code: `${mark}${n}`, text: `${mark} ${n}` }));
    const blob = await call('POST', '/x/vault/blobs', { text: `${mark} blob` });
    for (const name of ['shared', mark]) await call('PUT', `/x/vault/cache/${name}`, { text: `${mark} cached` });
    const job = await call('POST', '/x/vault/jobs/later', { code: `${mark} later`, text: `${mark} job` });
    const failed = await call('POST', '/x/vault/jobs/failing', { code: mark, text: `${mark} failing` });
    const page = await call('GET', '/x/vault/notes?limit=1');
    const has = {
      user,
      session: sessions[0]!.id,
      key: String(key.id),
      role: mark,
      note: String(notes[0]!.id),
      sha256: String(blob.sha256),
      cacheKey: mark,
      job: String(job.id),
      cursor: String(page.nextCursor),
    };
    const unnamed = [notes[1]!.id, failed.id, key.key, key.prefix, `${mark}-other`].map(String);
    const tenant = new Tenant(test, id, mark, has, [mark, id, ...Object.values(has), ...unnamed], unnamed, as);
    // The job has failed, and the plugin's listener has written that down.
    await vi.waitFor(
      async () => expect((await tenant.reading()).notes).toContain(`failed ${String(failed.id)}`),
      20_000,
    );
    return tenant;
  }

  /** All that it sees of its own, and what the operator sees of it; the same as long as nobody touches it. */
  async reading(): Promise<Record<string, string>> {
    const own = async (path: string) => {
      const { status, body } = await this.test.call('GET', path, { as: this.token });
      expect([path, status], JSON.stringify(body)).toEqual([path, 200]);
      return JSON.stringify(body);
    };
    const root = async (path: string) => JSON.stringify((await this.test.call('GET', path)).body);
    const { note, sha256, cacheKey } = this.has;
    return {
      me: await own('/api/v1/auth/me'),
      sessions: await own('/api/v1/auth/sessions'),
      organisation: await own(`/api/v1/organisations/${this.id}`),
      users: await own('/api/v1/users?limit=200'),
      keys: await own('/api/v1/api-keys'),
      roles: await own('/api/v1/roles'),
      audit: await own('/api/v1/audit?limit=200'),
      notes: await own('/x/vault/notes'),
      note: await own(`/x/vault/notes/${note}`),
      count: await own('/x/vault/count'),
      search: await own(`/x/vault/search?text=${this.mark}`),
      service: await own('/x/reader/notes'),
      blob: await own(`/x/vault/blobs/${sha256}`),
      cached: await own(`/x/vault/cache/${cacheKey}`),
      shared: await own('/x/vault/cache/shared'),
      jobs: await root(`/api/v1/jobs?organisation=${this.id}&limit=200`),
      others: await own(`/api/v1/users?q=${this.mark}`),
    };
  }

  /** A call by its administrator. */
  call(method: string, path: string, body?: object) {
    return this.test.call(method, path, { as: this.token, body });
  }

  /** A member with a role; its credentials. */
  async member(role: string): Promise<{ username: string; token: string; refreshToken: string }> {
    const username = `${role}.${this.id}`;
    await this.test.user(username, role === 'nobody' ? [] : [role], this.id);
    const { accessToken, refreshToken } = await this.test.login(username);
    return { username, token: accessToken, refreshToken };
  }
}

async function made(answer: ReturnType<TestKernel['call']>): Promise<Record<string, unknown>> {
  const { status, body } = await answer;
  if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`);
  return body as Record<string, unknown>;
}
