/* Runs inside an isolate: collects the cases of one suite and runs them one by one when the host asks. No libraries, so that what
   is tested is the platform alone. */

type Case = () => unknown;

const cases = new Map<string, Case>();

/** Declares a case. It passes when it returns, or what it returns resolves. */
export function test(name: string, run: Case): void {
  if (cases.has(name)) throw new Error(`There are two cases "${name}".`);
  cases.set(name, run);
}

export const caseNames = (): string[] => [...cases.keys()];

/** The failure of a case as text, or null. */
export async function runCase(name: string): Promise<string | null> {
  try {
    await cases.get(name)!();
    return null;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}\n${error.stack}` : `threw ${show(error)}`;
  }
}

class CaseFailure extends Error {
  override readonly name = 'CaseFailure';
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}[${[...bytesOf(value)].slice(0, 100)}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return JSON.stringify(value) ?? String(value);
}

const bytesOf = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

export function ok(value: unknown, what = 'the value'): asserts value {
  if (!value) throw new CaseFailure(`${what} should be truthy, is ${show(value)}`);
}

/** Same value; arrays, plain objects, Maps, Sets, Dates and bytes by what is in them. */
export function equal(actual: unknown, expected: unknown, what = 'it'): void {
  if (!same(actual, expected)) throw new CaseFailure(`${what}: expected ${show(expected)}, got ${show(actual)}`);
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof ArrayBuffer && b instanceof ArrayBuffer) return same(new Uint8Array(a), new Uint8Array(b));
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) return String(bytesOf(a)) === String(bytesOf(b));
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
  if ((a instanceof Map && b instanceof Map) || (a instanceof Set && b instanceof Set)) return same([...a], [...b]);
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && same(a[key as never], b[key as never]));
}

type ErrorWanted = string | (abstract new (...args: never[]) => Error);

function matches(error: unknown, wanted: ErrorWanted): boolean {
  if (typeof wanted === 'string') return error instanceof DOMException && error.name === wanted;
  return error instanceof wanted;
}

const nameOf = (wanted: ErrorWanted) => (typeof wanted === 'string' ? `DOMException ${wanted}` : wanted.name);

/** It throws an error of this class, or a DOMException of this name. Returns the error. */
export function throws(wanted: ErrorWanted, run: () => unknown, what = 'it'): Error {
  try {
    run();
  } catch (error) {
    if (matches(error, wanted)) return error as Error;
    throw new CaseFailure(`${what}: expected ${nameOf(wanted)}, threw ${show(error)}`);
  }
  throw new CaseFailure(`${what}: expected ${nameOf(wanted)}, nothing was thrown`);
}

/** The promise rejects with an error of this class, or a DOMException of this name. Returns the error. */
export async function rejects(wanted: ErrorWanted, promise: unknown, what = 'it'): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (matches(error, wanted)) return error as Error;
    throw new CaseFailure(`${what}: expected ${nameOf(wanted)}, rejected with ${show(error)}`);
  }
  throw new CaseFailure(`${what}: expected ${nameOf(wanted)}, but it resolved`);
}

/** The promise rejects with exactly this value. */
export async function rejectsWith(value: unknown, promise: unknown, what = 'it'): Promise<void> {
  try {
    await promise;
  } catch (error) {
    return equal(error, value, what);
  }
  throw new CaseFailure(`${what}: expected a rejection with ${show(value)}, but it resolved`);
}

export const bytes = (...values: number[]) => new Uint8Array(values);
export const utf8 = (text: string) => new TextEncoder().encode(text);
export const text = (data: BufferSource) => new TextDecoder().decode(data);
export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export const hex = (data: ArrayBuffer | ArrayBufferView<ArrayBuffer>) =>
  [...(data instanceof ArrayBuffer ? new Uint8Array(data) : bytesOf(data))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');

export const fromHex = (digits: string) =>
  Uint8Array.from(digits.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** All chunks of a stream. */
export async function chunksOf<T>(stream: ReadableStream<T>): Promise<T[]> {
  const reader = stream.getReader();
  const chunks: T[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return chunks;
    chunks.push(value);
  }
}

/** A stream of these chunks. */
export function streamOf<T>(...chunks: T[]): ReadableStream<T> {
  return new ReadableStream<T>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

export async function bytesIn(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const chunks = await chunksOf(stream);
  const all = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
