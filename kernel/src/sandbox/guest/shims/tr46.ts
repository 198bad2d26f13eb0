import { webHost } from '../web/host.js';

/*
 * tr46's tables are larger than the rest of the URL parser. Plain ASCII needs none of them; what else there is goes to the real
 * library in the cell.
 */
const PLAIN = /^[a-z0-9.-]*$/;

export function toASCII(domain: string, options: object): string | null {
  const lower = domain.toLowerCase();
  if (PLAIN.test(lower) && !/(^|\.)xn--/.test(lower)) return lower;
  return ask<string | null>('toASCII', domain, options);
}

export function toUnicode(domain: string, options: object): { domain: string; error: boolean } {
  return ask<{ domain: string; error: boolean } | null>('toUnicode', domain, options) ?? { domain, error: true };
}

function ask<T>(name: string, domain: string, options: object): T {
  return (JSON.parse(webHost().sync('idna', JSON.stringify([name, domain, options]))) as { v: T }).v;
}
