import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Agent, Dispatcher } from 'undici';
import type { Config } from '../config/index.js';
import { findGrant, type Grant } from './allow-list.js';
import { decodeBody } from './decode-body.js';
import { guardedAgent, type Lookup, lookupAll } from './guarded-connect.js';
import { toNetError } from './net-error.js';
import { type Hop, isRedirect, nextHop, parseUrl } from './redirect.js';
import { requestBody } from './request-body.js';
import { type HeaderList, requestHeaders } from './request-headers.js';
import { ResponseBody } from './response-body.js';
import { Scrubber } from './scrubber.js';
import { fillSecrets, hasPlaceholder, type SecretSource } from './secrets.js';

export interface FetchHead {
  url: string;
  method: string;
  headers: HeaderList;
  redirect: 'follow' | 'error' | 'manual';
}

export interface PluginFetchRequest {
  plugin: string;
  grants: readonly Grant[];
  /** Secrets that the plugin may name in headers. */
  secretNames: readonly string[];
  /** Told of each URL that it goes to, redirects included. */
  onUse?: (url: URL) => void;
  head: FetchHead;
  body?: Buffer | AsyncIterable<Buffer>;
  /** Aborting closes the connection at once, also while the body is being read. */
  signal: AbortSignal;
}

export interface PluginFetchReply {
  head: { status: number; statusText: string; url: string; redirected: boolean; headers: HeaderList };
  /** For one reader. It has to be read to its end or given up (`return`), or the request aborted: until then it counts as open. */
  body: AsyncIterable<Buffer> | null;
}

export interface PluginFetchOptions {
  limits: Config['net'];
  secrets: SecretSource;
  /** Name resolution, replaceable in tests. */
  lookup?: Lookup;
}

const METHOD = /^[A-Za-z]{1,20}$/;
/** Connection pools kept at most; the one that was not used for longest goes. */
const MAX_AGENTS = 256;

/** The host side of a guest's `fetch`: who may reach what, how much, and how long. Rejects with AtollErrors only. */
export class PluginFetch {
  readonly #agents = new Map<string, Agent>();
  readonly #open = new Map<string, number>();

  constructor(private readonly options: PluginFetchOptions) {}

  async fetch(request: PluginFetchRequest): Promise<PluginFetchReply> {
    const release = this.#acquire(request.plugin);
    try {
      const reply = await this.#follow(request, release);
      if (!reply.body) release();
      return reply;
    } catch (error) {
      release();
      throw toNetError(error, originOf(request.head.url), request.signal);
    }
  }

  /** Requests of a plugin whose answers are not read to their end yet. */
  open(plugin: string): number {
    return this.#open.get(plugin) ?? 0;
  }

  /** Throws NET_DENIED or BAD_REQUEST when the plugin may not reach the URL. */
  protected assertGranted({ plugin, grants, head }: PluginFetchRequest, url = parseUrl(head.url)): Grant {
    const grant = findGrant(grants, url);
    if (!grant) throw new AtollError('NET_DENIED', `${plugin} may not reach ${url.origin}.`);
    return grant;
  }

  /** Breaks off everything. */
  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.all(agents.map((agent) => agent.destroy()));
  }

  #acquire(plugin: string): () => void {
    const open = this.open(plugin);
    if (open >= this.options.limits.maxConcurrent)
      throw new AtollError('TOO_MANY_REQUESTS', `${plugin} already has ${open} requests open.`);
    this.#open.set(plugin, open + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const left = this.open(plugin) - 1;
      if (left > 0) this.#open.set(plugin, left);
      else this.#open.delete(plugin);
    };
  }

  async #follow(request: PluginFetchRequest, release: () => void): Promise<PluginFetchReply> {
    const { head, body } = request;
    const used = new Set<string>();
    let hop: Hop = { url: firstUrl(head.url), method: head.method, headers: head.headers, ...(body && { body }) };
    for (let hops = 0; ; hops++) {
      const response = await this.#send(request, hop, used);
      const location = isRedirect(response.statusCode) ? headerOf(response, 'location') : undefined;
      if (location === undefined || head.redirect === 'manual')
        return this.#reply(request, response, { hop, redirected: hops > 0, used, release });
      this.#assertFollows(head, hop, hops);
      discard(response);
      hop = nextHop(hop, response.statusCode, location);
    }
  }

  #assertFollows({ redirect }: FetchHead, { url }: Hop, hops: number): void {
    if (redirect === 'error')
      throw new AtollError('NET_FAILED', `${url.origin} redirects, which this request forbids.`);
    const { maxRedirects } = this.options.limits;
    if (hops >= maxRedirects) throw new AtollError('NET_FAILED', `More than ${maxRedirects} redirects.`);
  }

  async #send(request: PluginFetchRequest, hop: Hop, used: Set<string>): Promise<Dispatcher.ResponseData> {
    const { url, method, body } = hop;
    // Every hop is checked as if it were the first.
    const grant = this.assertGranted(request, url);
    request.onUse?.(url);
    if (!METHOD.test(method) || /^(connect|trace|track)$/i.test(method))
      throw new AtollError('BAD_REQUEST', `The method ${JSON.stringify(method.slice(0, 40))} is not allowed.`);
    if (/^(get|head)$/i.test(method) && body && !(Buffer.isBuffer(body) && body.length === 0))
      throw new AtollError('BAD_REQUEST', `A ${method.toUpperCase()} request has no body.`);
    const { secrets } = this.options;
    if (hop.headers.some(([, value]) => hasPlaceholder(value))) await secrets.fresh?.();
    const user = { plugin: request.plugin, permitted: request.secretNames };
    const headers = requestHeaders(hop.headers, (value) =>
      hasPlaceholder(value) ? fillSecrets(value, url, user, secrets, used) : value,
    );
    return this.#agent(request.plugin, grant).request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: method.toUpperCase() as Dispatcher.HttpMethod,
      headers,
      ...(body && { body: requestBody(body, this.options.limits.maxRequestBytes) }),
      signal: request.signal,
    });
  }

  #reply(
    { signal }: PluginFetchRequest,
    response: Dispatcher.ResponseData,
    { hop, redirected, used, release }: { hop: Hop; redirected: boolean; used: Set<string>; release: () => void },
  ): PluginFetchReply {
    const scrubber = new Scrubber(used);
    const empty = hop.method.toUpperCase() === 'HEAD' || [204, 205, 304].includes(response.statusCode);
    const decoded = empty ? undefined : decodeBody(response.body, headerOf(response, 'content-encoding'));
    const headers: HeaderList = [];
    for (const [name, value] of Object.entries(response.headers)) {
      // They describe the compressed body.
      if (decoded && (name === 'content-encoding' || name === 'content-length')) continue;
      for (const item of Array.isArray(value) ? value : [value ?? '']) headers.push([name, scrubber.text(item)]);
    }
    const { statusCode: status, statusText } = response;
    const head = { status, statusText, url: scrubber.text(hop.url.href), redirected, headers };
    if (empty) {
      discard(response);
      return { head, body: null };
    }
    const limit = this.options.limits.maxResponseBytes;
    const options = { origin: hop.url.origin, limit, scrubber, signal, onEnd: release };
    return { head, body: new ResponseBody(decoded ?? response.body, options) };
  }

  /** One agent per plugin and grant: plugins share no connections, and a pooled one was checked for the same grant. */
  #agent(plugin: string, { reach }: Grant): Agent {
    const key = JSON.stringify([plugin, reach]);
    const agent = this.#agents.get(key) ?? guardedAgent(reach, this.options.lookup ?? lookupAll, this.options.limits);
    this.#agents.delete(key);
    this.#agents.set(key, agent);
    const [oldest] = this.#agents;
    if (this.#agents.size > MAX_AGENTS && oldest) {
      this.#agents.delete(oldest[0]);
      // Finishes what is in flight first.
      void oldest[1].close();
    }
    return agent;
  }
}

function firstUrl(text: string): URL {
  const url = parseUrl(text);
  if (url.username || url.password)
    throw new AtollError('BAD_REQUEST', 'A URL with credentials is not fetched; send an authorization header.');
  return url;
}

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : 'The server');

function headerOf(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Lets a short body run out, so that its connection can be used again, and cuts a long one; nobody waits for it. */
function discard({ body }: Dispatcher.ResponseData): void {
  body.on('error', () => {});
  body.dump({ limit: 16_384 }).catch(() => {});
}
