import { isIP } from 'node:net';
import { AtollError, type ErrorCode } from '@atoll/plugin-sdk/contract';

/** Which addresses beside public ones an entry names. Empty: public ones only. */
export interface Reach {
  /** This very IP address, as the entry writes it. */
  address?: string;
  /** The loopback, because the entry says `localhost`. */
  loopback?: boolean;
  /** Private ranges and the loopback, because the operator wrote the URL. */
  private?: boolean;
}

/** One origin, or a pattern of origins, that a plugin may reach. */
export interface Grant {
  /** `http:`, `https:`, or both for `*`. */
  protocols: readonly string[];
  /** Host name in lower case, an IP literal as URLs write it, `*` for any, or `.example.com` for its subdomains. */
  host: string;
  /** Text as in URLs; '' is the protocol's own port, `*` any. */
  port: string;
  reach: Reach;
}

export interface GrantRequest {
  plugin: string;
  /** `permissions.net` of the manifest. */
  entries: readonly string[];
  /** The plugin's configuration, for `config:<key>` entries. */
  config: Readonly<Record<string, unknown>>;
  /** Defaults that the manifest gives to configuration keys: such a value is the author's word, not the operator's. */
  defaults?: Readonly<Record<string, unknown>>;
  /** The operator's own entries; only what these allow as well remains. They never add anything. */
  narrow?: readonly string[];
}

const FORMS = 'an origin such as https://api.example.com, https://*.example.com, config:<key> or *';

/**
 * The grants of a plugin. `config:` entries whose key is not set grant nothing. Throws MANIFEST_INVALID for a malformed entry,
 * CONFIG_INVALID for what the operator wrote.
 */
export function parseGrants(request: GrantRequest): Grant[] {
  const grants = parseEntries(request, request.entries, 'MANIFEST_INVALID', `${request.plugin}: permissions.net`);
  if (!request.narrow) return grants;
  const narrow = parseEntries(request, request.narrow, 'CONFIG_INVALID', `net.narrow.${request.plugin}`);
  return grants.flatMap((grant) => narrow.map((other) => intersect(grant, other))).filter((both) => both !== undefined);
}

function parseEntries(request: GrantRequest, entries: readonly string[], code: ErrorCode, where: string): Grant[] {
  return entries.flatMap((entry, at) => {
    if (entry === '*') return { protocols: ['http:', 'https:'], host: '*', port: '*', reach: {} };
    if (entry.startsWith('config:')) return fromConfig(request, entry.slice('config:'.length));
    return parseOrigin(entry, (problem) => new AtollError(code, `${where}.${at}: ${problem}`));
  });
}

function fromConfig({ plugin, config, defaults }: GrantRequest, key: string): Grant[] {
  const value = Object.hasOwn(config, key) ? config[key] : undefined;
  if (value === undefined || value === null || value === '') return [];
  const text = String(value);
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new AtollError(
      'CONFIG_INVALID',
      `plugins.config.${plugin}.${key}: expected an http(s) URL, got ${show(text)}.`,
    );
  }
  const { protocol, hostname, port } = new URL(text);
  const byOperator = defaults?.[key] !== value;
  return [
    {
      protocols: [protocol],
      host: hostname,
      port,
      reach: { ...reachOf(hostname), ...(byOperator && { private: true }) },
    },
  ];
}

function parseOrigin(entry: string, refuse: (problem: string) => AtollError): Grant {
  const wildcard = /^https?:\/\/\*\./i.test(entry);
  const parsable = wildcard ? entry.replace('//*.', '//wildcard.') : entry;
  if (!/^https?:\/\//i.test(entry) || parsable.includes('*') || !URL.canParse(parsable))
    throw refuse(`expected ${FORMS}, got ${show(entry)}.`);
  const url = new URL(parsable);
  const extra = [
    (url.username || url.password) && 'credentials',
    url.pathname !== '/' && 'a path',
    entry.includes('?') && 'a query',
    entry.includes('#') && 'a fragment',
  ].filter(Boolean);
  if (extra.length > 0)
    throw refuse(`an origin has no ${extra.join(', no ')}; got ${show(entry)}, did you mean ${url.origin}?`);
  const host = wildcard ? url.hostname.slice('wildcard'.length) : url.hostname;
  return { protocols: [url.protocol], host, port: url.port, reach: reachOf(host) };
}

function reachOf(host: string): Reach {
  const bare = host.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return { address: bare };
  return host === 'localhost' ? { loopback: true } : {};
}

/** Whatever stands before an `@` may be a name and a password, also in what is no URL because of a slash or a second `@` in it. */
const show = (text: string): string => JSON.stringify(text.replace(/^(https?:\/\/)?.*@/is, '$1…@').slice(0, 200));

/** What both allow, with the reach of the first. */
function intersect(grant: Grant, other: Grant): Grant | undefined {
  const protocols = grant.protocols.filter((protocol) => other.protocols.includes(protocol));
  const host = hostMatches(grant.host, other.host)
    ? other.host
    : hostMatches(other.host, grant.host)
      ? grant.host
      : undefined;
  const port =
    grant.port === '*' ? other.port : other.port === '*' || other.port === grant.port ? grant.port : undefined;
  return protocols.length > 0 && host !== undefined && port !== undefined
    ? { protocols, host, port, reach: grant.reach }
    : undefined;
}

/** The grant that covers a URL, or undefined. An exact host is preferred to a pattern, and a named address to a public one. */
export function findGrant(grants: readonly Grant[], url: URL): Grant | undefined {
  const fitting = grants.filter(
    ({ protocols, host, port }) =>
      protocols.includes(url.protocol) && (port === '*' || port === url.port) && hostMatches(host, url.hostname),
  );
  const exact = fitting.filter(({ host }) => host === url.hostname);
  return exact.find(({ reach }) => reach.private) ?? exact[0] ?? fitting[0];
}

/** Whether a host, or every host of a narrower pattern, fits a pattern. */
function hostMatches(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  return pattern.startsWith('.') && host.endsWith(pattern) && host.length > pattern.length;
}
