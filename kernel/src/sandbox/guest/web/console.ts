import { defineGlobal } from './define.js';
import { webHost } from './host.js';

const MAX_TEXT = 4_000;

/** A value as readable text; hostile getters and cycles must not break logging. */
export function inspect(value: unknown, depth = 2): string {
  try {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return value.stack ?? `${value.name}: ${value.message}`;
    if (typeof value === 'function') return `[Function: ${value.name || 'anonymous'}]`;
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value !== 'object' || value === null) return String(value);
    return inspectObject(value, depth);
  } catch {
    return '[unreadable]';
  }
}

function inspectObject(value: object, depth: number): string {
  const nested = (item: unknown) => (typeof item === 'string' ? JSON.stringify(item) : inspect(item, depth - 1));
  if (depth < 0) return Array.isArray(value) ? '[Array]' : '[Object]';
  if (Array.isArray(value)) return `[ ${value.slice(0, 100).map(nested).join(', ')} ]`;
  if (value instanceof Map)
    return `Map(${value.size}) { ${[...value]
      .slice(0, 100)
      .map(([k, v]) => `${nested(k)} => ${nested(v)}`)
      .join(', ')} }`;
  if (value instanceof Set) return `Set(${value.size}) { ${[...value].slice(0, 100).map(nested).join(', ')} }`;
  if (value instanceof Date) return value.toISOString();
  const entries = Object.entries(value).slice(0, 100);
  return `{ ${entries.map(([key, item]) => `${key}: ${nested(item)}`).join(', ')} }`;
}

const write =
  (level: 'debug' | 'info' | 'warn' | 'error') =>
  (...values: unknown[]) =>
    webHost().log(
      level,
      values
        .map((value) => inspect(value))
        .join(' ')
        .slice(0, MAX_TEXT),
    );

const counts = new Map<string, number>();
const starts = new Map<string, number>();
const error = write('error');
const info = write('info');
const debug = write('debug');

defineGlobal('console', {
  debug, log: info, info, warn: write('warn'), error, trace: debug, dir: info, table: info, group: info, groupCollapsed: info,
  groupEnd() {},
  assert(condition: unknown, ...values: unknown[]) {
    if (!condition) error('Assertion failed:', ...values);
  },
  count(label = 'default') {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    info(`${label}: ${counts.get(label)}`);
  },
  countReset: (label = 'default') => counts.delete(label),
  time: (label = 'default') => starts.set(label, performance.now()),
  timeEnd(label = 'default') {
    info(`${label}: ${performance.now() - (starts.get(label) ?? performance.now())} ms`);
    starts.delete(label);
  },
}); // biome-ignore format: a table of names
defineGlobal('reportError', (problem: unknown) => error('Uncaught', inspect(problem)));
