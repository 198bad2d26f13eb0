import { setTimeout as sleep } from 'node:timers/promises';
import { request, type ServerOptions } from './client.js';
import type { Output } from './output.js';

interface LogLine {
  time: string;
  level: string;
  message: string;
  fields?: object;
}

export interface LogOptions {
  limit: number;
  level: string;
  follow?: boolean;
}

const FOLLOW_MS = 500;
/** What the server gives at most: while following, the more the better, for bursts between two looks. */
const WINDOW = 1000;

const text = ({ time, level, message, fields }: LogLine) =>
  `${time} ${level.padEnd(5)} ${message}${fields ? ` ${JSON.stringify(fields)}` : ''}`;

/** Prints a plugin's latest log lines, and with `follow` those that come after. */
export async function showLogs(out: Output, server: ServerOptions, target: string, options: LogOptions): Promise<void> {
  const { level, limit, follow } = options;
  const fetchLines = async (count: number) => {
    const query = new URLSearchParams({ limit: String(count), level });
    return (await request<{ items: LogLine[] }>(server, 'GET', `${target}/logs?${query}`)).items;
  };
  if (!follow) {
    const lines = await fetchLines(limit);
    return out.result(lines, lines.map(text).join('\n'));
  }
  let seen = await fetchLines(WINDOW);
  for (const line of seen.slice(-limit)) out.line(line, text(line));
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
    const lines = await fetchLines(WINDOW);
    for (const line of newLines(seen, lines)) out.line(line, text(line));
    seen = lines;
  }
}

/** Prints the lines that come, until the signal aborts; a server that is away for a while is asked again. */
export async function followLogs(
  out: Output,
  server: ServerOptions,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  let seen: LogLine[] = [];
  while (!signal.aborted) {
    const found = await request<{ items: LogLine[] }>(server, 'GET', `${target}/logs?limit=${WINDOW}`).catch(() => {});
    for (const line of found ? newLines(seen, found.items) : []) out.line(line, text(line));
    seen = found?.items ?? seen;
    await sleep(FOLLOW_MS, undefined, { signal }).catch(() => {});
  }
}

/** What `now` has after the part that it shares with `before`, of which the oldest lines may be gone. */
export function newLines<T>(before: readonly T[], now: readonly T[]): readonly T[] {
  const old = before.map((line) => JSON.stringify(line));
  const all = now.map((line) => JSON.stringify(line));
  for (let gone = 0; gone < old.length; gone++) {
    const shared = old.length - gone;
    if (shared <= all.length && old.slice(gone).every((line, at) => line === all[at])) return now.slice(shared);
  }
  return now;
}
