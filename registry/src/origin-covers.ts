import { isIP } from 'node:net';

/**
 * Whether a granted `net` entry includes another. `*` is any public address: one that is written as an IP address or as
 * `localhost` reaches the private one it names, which `*` does not. What `config:` entries reach only the operator knows.
 */
export function originCovers(grant: string, entry: string): boolean {
  if (grant === entry) return true;
  if (entry === '*' || entry.startsWith('config:') || grant.startsWith('config:')) return false;
  const wanted = parse(entry);
  if (!wanted) return false;
  if (grant === '*') return !namesAddress(wanted.host);
  const granted = parse(grant);
  return (
    granted !== undefined &&
    granted.protocol === wanted.protocol &&
    granted.port === wanted.port &&
    hostCovers(granted.host, wanted.host)
  );
}

interface Origin {
  protocol: string;
  /** `.example.com` for the subdomains of example.com. */
  host: string;
  port: string;
}

function parse(entry: string): Origin | undefined {
  const wildcard = /^https?:\/\/\*\./i.test(entry);
  const text = wildcard ? entry.replace('//*.', '//wildcard.') : entry;
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, port } = new URL(text);
  return { protocol, host: wildcard ? hostname.slice('wildcard'.length) : hostname, port };
}

const namesAddress = (host: string): boolean =>
  isIP(host.replace(/^\[|\]$/g, '')) !== 0 || host === 'localhost' || host.endsWith('.localhost');

const hostCovers = (pattern: string, host: string): boolean =>
  pattern === host || (pattern.startsWith('.') && host.endsWith(pattern) && host.length > pattern.length);
