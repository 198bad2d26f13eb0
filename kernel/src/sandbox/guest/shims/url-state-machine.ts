import * as standard from 'whatwg-url/lib/url-state-machine.js';
import { parsePlainUrl, type UrlRecord } from './plain-url.js';

/* The URL library's parser, with a short way for plain URLs. */

export * from 'whatwg-url/lib/url-state-machine.js';

export function basicURLParse(input: string, options: standard.ParseOptions = {}): UrlRecord | null {
  const plain = options.stateOverride === undefined ? parsePlainUrl(input) : undefined;
  return plain ?? standard.basicURLParse(input, options);
}
