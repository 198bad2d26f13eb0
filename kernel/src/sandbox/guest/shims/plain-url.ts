/** A URL as the standard's parser gives it. */
export interface UrlRecord {
  scheme: string;
  username: string;
  password: string;
  /** A number for an IPv4 address. */
  host: string | number | object | null;
  port: number | null;
  path: string[] | string;
  query: string | null;
  fragment: string | null;
}

/*
 * Nearly all URLs that plugins fetch are plain: lower case, ASCII, nothing to be encoded or resolved. The standard's state machine
 * takes one character at a time, which in a young isolate is a third of what a whole `fetch` takes. What is not certain to be plain is
 * left to it.
 */
const LABELS = '(?:[a-z0-9-]+\\.)*[a-z][a-z0-9-]*';
const PLAIN = new RegExp(
  `^(https?)://(?:(${LABELS})|((?:\\d{1,3}\\.){3}\\d{1,3}))(?::(\\d{1,5}))?(/[\\w~!$&'()*+,;=:@%/.-]*)?(?:\\?([\\w~!$&()*+,;=:@%/?.-]*))?$`,
);
/** Segments that mean "here" or "up", and those that may. */
const RELATIVE = /\/(?:\.|%2e)/i;
const DEFAULT_PORTS: Record<string, number> = { http: 80, https: 443 };

/** What the standard makes of a plain URL; undefined for any other, which may be a URL as well. */
export function parsePlainUrl(input: string): UrlRecord | undefined {
  const match = PLAIN.exec(input);
  if (!match) return undefined;
  const [, scheme, name, address, port, path = '/', query] = match as unknown as [
    string,
    string,
    ...(string | undefined)[],
  ];
  if (RELATIVE.test(path) || (name !== undefined && /(?:^|\.)xn--/.test(name))) return undefined;
  const host = name ?? numberOf(address!);
  const portNumber = port === undefined || Number(port) === DEFAULT_PORTS[scheme] ? null : Number(port);
  if (host === undefined || (portNumber !== null && portNumber > 65_535)) return undefined;
  return {
    scheme,
    username: '',
    password: '',
    host,
    port: portNumber,
    path: path.slice(1).split('/'),
    query: query ?? null,
    fragment: null,
  };
}

/** With a leading zero a part would be octal. */
function numberOf(address: string): number | undefined {
  let number = 0;
  for (const part of address.split('.')) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    number = number * 256 + Number(part);
  }
  return number;
}
