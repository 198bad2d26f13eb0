import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import Provider, { type Configuration } from 'oidc-provider';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestKernel } from './testing.js';

/* A real provider, and a browser that is a few lines: it keeps cookies, follows redirects and sends forms. */

const CLIENT = { client_id: 'atoll', client_secret: 'secret-of-the-client' };
let issuer: string;
let provider: Server;
let test: TestKernel;
/** What the provider says of each account. */
const accounts: Record<string, Record<string, unknown>> = {
  grace: {
    preferred_username: 'Grace Hopper',
    name: 'Grace',
    email: 'grace@example.com',
    email_verified: true,
    groups: ['staff', 'ops'],
  },
  ada: { preferred_username: 'ada', name: 'Not the Ada from here', groups: [] },
  mallory: {
    preferred_username: 'mallory',
    email: 'ada@example.com',
    email_verified: false,
    groups: ['constructor', '__proto__'],
  },
};

beforeAll(async () => {
  provider = createServer();
  provider.listen(0, '127.0.0.1');
  await once(provider, 'listening');
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  test = await TestKernel.start((config) => {
    const common = { issuer, clientId: CLIENT.client_id, clientSecret: CLIENT.client_secret };
    const roles = { ops: ['operator'], staff: ['developer'] };
    config.auth.oidc = {
      company: { ...common, title: 'The company', roleClaim: 'groups', roles, defaultRoles: ['viewer'] },
      closed: { ...common, createUsers: false },
      away: { ...common, issuer: 'http://127.0.0.1:1' },
    };
  });
  const redirect_uris = ['company', 'closed'].map((id) => `${test.url}/api/v1/auth/oidc/${id}/callback`);
  const configuration: Configuration = {
    clients: [{ ...CLIENT, redirect_uris, token_endpoint_auth_method: 'client_secret_post' }],
    claims: { openid: ['sub', 'groups'], profile: ['preferred_username', 'name'], email: ['email', 'email_verified'] },
    pkce: { required: () => true },
    cookies: { keys: ['of this test'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts[id] }) }),
  };
  provider.on('request', new Provider(issuer, configuration).callback());
  await test.user('ada', ['admin']);
});
afterAll(async () => {
  await test.close();
  provider.close();
});

class Browser {
  readonly #cookies = new Map<string, string>();

  async get(url: string, form?: Record<string, string>): Promise<Response> {
    const { host } = new URL(url);
    const cookie = [...this.#cookies]
      .filter(([key]) => key.startsWith(host))
      .map(([key, value]) => `${key.slice(host.length + 1)}=${value}`)
      .join('; ');
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(form && { method: 'POST', body: new URLSearchParams(form) }),
    });
    for (const set of response.headers.getSetCookie()) {
      const [pair] = set.split(';') as [string];
      this.#cookies.set(`${host} ${pair.slice(0, pair.indexOf('='))}`, pair.slice(pair.indexOf('=') + 1));
    }
    return response;
  }

  /** Follows redirects until there is none, or one that leads to where it shall not go. */
  async follow(
    url: string,
    until: (url: string) => boolean = () => false,
  ): Promise<{ url: string; response: Response }> {
    let at = url;
    for (;;) {
      if (until(at)) return { url: at, response: new Response() };
      const response = await this.get(at);
      const location = response.headers.get('location');
      if (!location) return { url: at, response };
      at = new URL(location, at).href;
    }
  }

  /** Logs in and consents at the provider; resolves with where it sends the browser then. */
  async logIn(account: string, at = 'company'): Promise<string> {
    const isCallback = (url: string) => url.startsWith(`${test.url}/`) && url.includes('/callback');
    let { url, response } = await this.follow(`${test.url}/api/v1/auth/oidc/${at}/login`, isCallback);
    for (let form = 0; form < 3 && !isCallback(url); form++) {
      const html = await response.text();
      const action = /action="([^"]+)"/.exec(html)![1]!;
      const prompt = /name="prompt" value="([^"]+)"/.exec(html)![1]!;
      const sent = await this.get(new URL(action, url).href, { prompt, login: account, password: 'x' });
      ({ url, response } = await this.follow(new URL(sent.headers.get('location')!, url).href, isCallback));
    }
    return url;
  }
}

const tokensOf = async (response: Response) => (await response.json()) as { accessToken: string; code?: string };
const me = async (as: string) =>
  (await test.call('GET', '/api/v1/auth/me', { as })).body as { roles: string[]; user: Record<string, unknown> };

describe('a login at a provider', () => {
  it('makes an account, with the roles that the claims bring, and finds it again', async () => {
    const browser = new Browser();
    const answer = await browser.get(await browser.logIn('grace'));
    expect(answer.status).toBe(200);
    const first = await me((await tokensOf(answer)).accessToken);
    expect(first).toMatchObject({
      roles: ['developer', 'operator'],
      user: { username: 'gracehopper', name: 'Grace', email: 'grace@example.com' },
    });
    accounts.grace!.groups = ['staff'];
    const again = new Browser();
    const second = await me((await tokensOf(await again.get(await again.logIn('grace')))).accessToken);
    expect(second.user.id).toBe(first.user.id);
    expect(second.roles).toEqual(['developer']);
  });

  it('is no way into an account that only has the same name or address', async () => {
    const browser = new Browser();
    const tokens = await tokensOf(await browser.get(await browser.logIn('ada')));
    const { user, roles } = await me(tokens.accessToken);
    expect(user.username).toMatch(/^ada\..{8}$/);
    expect(roles).toEqual(['viewer']);
    const other = new Browser();
    const { user: mallory, roles: hers } = await me(
      (await tokensOf(await other.get(await other.logIn('mallory')))).accessToken,
    );
    expect(mallory).not.toHaveProperty('email');
    expect(hers).toEqual(['viewer']);
  });

  it('asks with PKCE, a state and a nonce', async () => {
    const response = await new Browser().get(`${test.url}/api/v1/auth/oidc/company/login`);
    const { searchParams } = new URL(response.headers.get('location')!);
    expect(searchParams.get('code_challenge_method')).toBe('S256');
    for (const name of ['code_challenge', 'state', 'nonce']) expect(searchParams.get(name)!.length).toBeGreaterThan(20);
    expect(response.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Lax/);
  });

  it('is worth nothing in another browser, a second time, with another state or code, or when the provider says no', async () => {
    const browser = new Browser();
    const callback = await browser.logIn('grace');
    const wrong = async (by: Browser, url: string) => {
      const response = await by.get(url);
      expect([response.status, (await tokensOf(response)).code]).toEqual([401, 'LOGIN_FAILED']);
    };
    await wrong(new Browser(), callback);
    const changed = async (change: (parameters: URLSearchParams) => void) => {
      const own = new Browser();
      const url = new URL(await own.logIn('grace'));
      change(url.searchParams);
      await wrong(own, url.href);
    };
    await changed((parameters) => parameters.set('state', 'another'));
    await changed((parameters) => parameters.delete('state'));
    await changed((parameters) => parameters.set('code', 'another'));
    await changed((parameters) => parameters.set('iss', 'https://elsewhere.example'));
    await changed((parameters) => {
      parameters.delete('code');
      parameters.set('error', 'access_denied');
    });
    expect((await browser.get(callback)).status).toBe(200);
    await wrong(browser, callback);
    // What was begun for one provider is no answer of another.
    const own = new Browser();
    const url = await own.logIn('grace');
    await wrong(own, url.replace('/company/', '/closed/'));
  });

  it('lets nobody in whose account is disabled, or who has none where none are made', async () => {
    const browser = new Browser();
    const { user } = await me((await tokensOf(await browser.get(await browser.logIn('grace')))).accessToken);
    await test.call('PATCH', `/api/v1/users/${user.id}`, { body: { disabled: true } });
    const again = new Browser();
    expect((await again.get(await again.logIn('grace'))).status).toBe(401);
    const closed = new Browser();
    expect((await closed.get(await closed.logIn('grace', 'closed'))).status).toBe(401);
  });

  it('is offered by name; what is not there is not found, and who is away is said', async () => {
    expect((await test.call('GET', '/api/v1/auth/oidc', { as: null })).body).toEqual({
      items: [
        { id: 'company', title: 'The company' },
        { id: 'closed', title: 'closed' },
        { id: 'away', title: 'away' },
      ],
    });
    for (const id of ['nowhere', '__proto__', 'constructor'])
      expect((await test.call('GET', `/api/v1/auth/oidc/${id}/login`, { as: null })).status).toBe(404);
    const away = await test.call('GET', '/api/v1/auth/oidc/away/login', { as: null });
    expect([away.status, away.body.code]).toEqual([502, 'UPSTREAM_UNREACHABLE']);
  });
});
