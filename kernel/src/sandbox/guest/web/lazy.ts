import { defineGlobal } from './define.js';

/** What on-demand.ts defines: two thirds of the prelude, which plugins that only answer with JSON never touch. */
const NAMES = [
  'ReadableStream', 'ReadableStreamDefaultController', 'ReadableByteStreamController', 'ReadableStreamBYOBRequest',
  'ReadableStreamDefaultReader', 'ReadableStreamBYOBReader', 'WritableStream', 'WritableStreamDefaultController',
  'WritableStreamDefaultWriter', 'ByteLengthQueuingStrategy', 'CountQueuingStrategy', 'TransformStream',
  'TransformStreamDefaultController', 'TextEncoderStream', 'TextDecoderStream', 'CompressionStream',
  'DecompressionStream', 'URL', 'URLSearchParams', 'URLPattern', 'Blob', 'File', 'MessageChannel', 'MessagePort',
  'Headers', 'Request', 'Response', 'FormData', 'fetch',
] as const; // biome-ignore format: a list

let load: (() => void) | undefined;
const getters = new Map<string, () => unknown>();

/** Puts the names on the global object; the first look at one of them makes them all. Saves a megabyte an isolate. */
export function defineLazily(make: () => void): void {
  load = make;
  for (const name of NAMES) {
    const get = () => {
      materialise();
      return (globalThis as Record<string, unknown>)[name];
    };
    getters.set(name, get);
    const set = (value: unknown) => defineGlobal(name, value);
    Object.defineProperty(globalThis, name, { get, set, configurable: true, enumerable: false });
  }
}

/** False as long as no object of any of these classes can exist. */
export function isMaterialised(): boolean {
  return load === undefined;
}

function materialise(): void {
  const make = load;
  if (!make) return;
  load = undefined;
  // What the guest has put in the place of one of them, it keeps.
  const changed = NAMES.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const).filter(
    ([name, property]) => property?.get !== getters.get(name),
  );
  make();
  for (const [name, property] of changed) {
    if (property) Object.defineProperty(globalThis, name, property);
    else Reflect.deleteProperty(globalThis, name);
  }
  getters.clear();
}
