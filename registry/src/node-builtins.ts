import { builtinModules } from 'node:module';

const BUILTIN = new Set(builtinModules);

const NETWORK = '`fetch`, with the origin in `permissions.net`';
const THREADS = 'a service of another plugin; a plugin has one thread and no processes';
const FILES = 'an import for a file of the package (`import text from "./file.txt"`)';

/** Node module → what a plugin uses instead. */
const INSTEAD: Record<string, string> = {
  fs: FILES,
  path: '`URL`, or plain text functions',
  url: 'the globals `URL` and `URLSearchParams`',
  querystring: '`URLSearchParams`',
  crypto: 'the global `crypto` (`crypto.subtle`, `crypto.randomUUID()`)',
  buffer: '`Uint8Array`, `TextEncoder`, `atob` and `btoa`',
  stream: '`ReadableStream`, `WritableStream` and `TransformStream`',
  events: '`EventTarget`, or `events` from the setup',
  timers: 'the globals `setTimeout` and `setInterval`',
  util: '`TextEncoder`, `TextDecoder` and `structuredClone`',
  process: '`config` and `secrets` from the setup',
  perf_hooks: '`performance.now()`',
  http: NETWORK,
  https: NETWORK,
  http2: NETWORK,
  net: NETWORK,
  tls: NETWORK,
  dns: NETWORK,
  dgram: NETWORK,
  child_process: THREADS,
  worker_threads: THREADS,
  cluster: THREADS,
};

/** Whether an import names a module of Node, with or without `node:`. */
export const isNodeBuiltin = (specifier: string): boolean => specifier.startsWith('node:') || BUILTIN.has(specifier);

/** What to tell an author who imports a module of Node. */
export function nodeBuiltinMessage(specifier: string): string {
  const name = specifier.replace(/^node:/, '');
  const instead = INSTEAD[name.split('/')[0]!] ?? 'web APIs (`fetch`, `URL`, `crypto.subtle`, streams)';
  return `plugins run in a web-standard isolate: node:${name} does not exist there; use ${instead}`;
}
