import { createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as WebStream } from 'node:stream/web';
import { CliError, EXIT, exitCodeOf, hintOf } from './errors.js';
import { INSTALLATION } from './installation.js';
import { savedLogin } from './saved-login.js';

export interface ServerOptions {
  server?: string;
  key?: string;
}

const TIMEOUT_MS = 60_000;
const CHANGE_TIMEOUT_MS = 600_000;
const TRANSFER_TIMEOUT_MS = 3_600_000;

/** --server, the environment, the server that one has logged in to, or the one of this machine. */
export function serverUrl({ server }: ServerOptions): string {
  const { ATOLL_URL, ATOLL_HOST, ATOLL_PORT } = process.env;
  const local = `http://${ATOLL_HOST ?? '127.0.0.1'}:${ATOLL_PORT ?? '7070'}`;
  const named = ATOLL_HOST !== undefined || ATOLL_PORT !== undefined;
  const url = server ?? ATOLL_URL ?? (named ? local : (savedLogin()?.server ?? local));
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    const hint = 'Pass --server with an URL such as http://127.0.0.1:7070.';
    throw new CliError(`"${url}" is no http(s) URL.`, EXIT.USAGE, { hint });
  }
  return url.replace(/\/+$/, '');
}

interface FoundKey {
  key: string;
  /** It comes from `atoll login`. */
  saved?: true;
}

/**
 * --key, ATOLL_ADMIN_KEY, the key of the login, or the root key's file in the data directory, here or in the installation. What one
 * has logged in with goes to that server only.
 */
function findKey(url: string, { key }: ServerOptions): FoundKey | undefined {
  const given = key ?? process.env.ATOLL_ADMIN_KEY;
  if (given) return { key: given };
  const login = savedLogin();
  if (login?.server === url) return { key: login.key, saved: true };
  const dataDir = process.env.ATOLL_DATA_DIR ?? '.atoll';
  const files = [path.resolve(dataDir, 'root.key'), path.resolve(INSTALLATION, dataDir, 'root.key')];
  const file = files.find((candidate) => existsSync(candidate));
  return file === undefined ? undefined : { key: readFileSync(file, 'utf8').trim() };
}

const authorization = (found: FoundKey | undefined) => ({ ...(found && { authorization: `Bearer ${found.key}` }) });

/** One request to a running server. Throws a CliError that says what to do. */
export async function request<T>(
  options: ServerOptions,
  method: string,
  target: string,
  body?: unknown,
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  const url = serverUrl(options);
  const key = findKey(url, options);
  const init = {
    method,
    headers: { ...authorization(key), ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
  const response = await send(url, target, init, timeoutMs);
  const parsed = parse(url, response.status, await response.text());
  if (response.ok) return parsed as T;
  throw toError(response.status, parsed, key);
}

/** A request that starts and swaps plugins, which may be many and slow. */
export const change = <T>(options: ServerOptions, method: string, target: string, body?: unknown): Promise<T> =>
  request<T>(options, method, target, body, CHANGE_TIMEOUT_MS);

/** A request whose answer goes into a file as it comes; the file appears when it is complete. */
export async function download(options: ServerOptions, target: string, file: string): Promise<number> {
  const response = await exchange(options, target, {});
  const draft = `${file}.part`;
  try {
    await pipeline(Readable.fromWeb(response.body as WebStream), createWriteStream(draft, { mode: 0o600 }));
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw new CliError(`The answer broke off: ${(error as Error).message}`, EXIT.FAILURE);
  }
  return (await stat(file)).size;
}

/** Sends a file, or bytes, as they are. */
export async function upload<T>(
  options: ServerOptions,
  method: string,
  target: string,
  content: string | Uint8Array<ArrayBuffer>,
): Promise<T> {
  const body =
    typeof content === 'string'
      ? (Readable.toWeb(createReadStream(content)) as unknown as ReadableStream)
      : new Blob([content]);
  const response = await exchange(options, target, { method, body, duplex: 'half' } as RequestInit);
  return (await response.json()) as T;
}

async function exchange(options: ServerOptions, target: string, init: RequestInit): Promise<Response> {
  const url = serverUrl(options);
  const key = findKey(url, options);
  const response = await send(url, target, { ...init, headers: authorization(key) }, TRANSFER_TIMEOUT_MS);
  if (response.ok) return response;
  throw toError(response.status, parse(url, response.status, await response.text()), key);
}

async function send(url: string, target: string, init: RequestInit, timeoutMs = TIMEOUT_MS): Promise<Response> {
  try {
    return await fetch(`${url}${target}`, { ...init, signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') {
      throw new CliError(`The server at ${url} took longer than ${timeoutMs / 1000} s.`, EXIT.FAILURE);
    }
    const hint = 'Start one with `npm start`, or name another with --server.';
    throw new CliError(`No server answers at ${url}.`, EXIT.UNREACHABLE, { hint });
  }
}

function parse(url: string, status: number, text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    const hint = 'Name the address of Atoll with --server.';
    throw new CliError(`What answers at ${url} is no Atoll server (status ${status}, no JSON).`, EXIT.UNREACHABLE, {
      hint,
    });
  }
}

function toError(status: number, problem: unknown, key: FoundKey | undefined): CliError {
  const { detail, code } = (problem ?? {}) as { detail?: string; code?: string };
  const hint = status === 401 ? keyHint(key) : code && hintOf(code);
  const message = detail ?? `The server answered with status ${status}.`;
  return new CliError(message, exitCodeOf(status), { ...(code && { code }), ...(hint && { hint }) });
}

function keyHint(key: FoundKey | undefined): string {
  if (!key)
    return 'No API key was found: `atoll login`, pass --key, set ATOLL_ADMIN_KEY, or run this where the data directory (.atoll) is.';
  return key.saved
    ? 'The key you have logged in with is no longer taken: `atoll login` with another, or `atoll logout`.'
    : 'The server does not know this key: pass another with --key, or `atoll login`.';
}
