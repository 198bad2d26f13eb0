import { now } from './clock.js';
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

const FORMATS: Record<string, (value: unknown) => string> = {
  s: (value) => (typeof value === 'string' ? value : inspect(value, 0)),
  d: (value) => String(typeof value === 'bigint' ? `${value}n` : Number(value)),
  i: (value) => String(Math.trunc(Number(value))),
  f: (value) => String(Number(value)),
  o: (value) => inspect(value),
  O: (value) => inspect(value),
  c: () => '',
};

/** The values as one line; a first string may hold %s, %d, … for the ones behind it. */
function format([first, ...rest]: unknown[]): string {
  if (typeof first !== 'string') return [first, ...rest].map((value) => inspect(value)).join(' ');
  const text = first.slice(0, MAX_TEXT).replace(/%[%sdifoOc]/g, (found) => {
    if (found === '%%') return '%';
    if (rest.length === 0) return found;
    try {
      return FORMATS[found[1]!]!(rest.shift());
    } catch {
      return '[unreadable]';
    }
  });
  return [text, ...rest.map((value) => inspect(value))].join(' ');
}

const write =
  (level: 'debug' | 'info' | 'warn' | 'error') =>
  (...values: unknown[]) =>
    webHost().log(level, format(values).slice(0, MAX_TEXT));

const counts = new Map<string, number>();
const starts = new Map<string, number>();
const error = write('error');
const info = write('info');
const debug = write('debug');

const elapsed = (label: string) => `${label}: ${now() - (starts.get(label) ?? now())} ms`;

defineGlobal('console', {
  debug, log: info, info, warn: write('warn'), error, trace: debug, dir: info, dirxml: info, table: info, group: info, groupCollapsed: info,
  groupEnd() {},
  clear() {},
  assert(condition: unknown, ...values: unknown[]) {
    if (!condition) error('Assertion failed:', ...values);
  },
  count(label = 'default') {
    counts.set(label, (counts.get(label) ?? 0) + 1);
    info(`${label}: ${counts.get(label)}`);
  },
  countReset: (label = 'default') => void counts.delete(label),
  time: (label = 'default') => void starts.set(label, now()),
  timeLog: (label = 'default', ...values: unknown[]) => info(elapsed(label), ...values),
  timeEnd(label = 'default') {
    info(elapsed(label));
    starts.delete(label);
  },
}); // biome-ignore format: a table of names
