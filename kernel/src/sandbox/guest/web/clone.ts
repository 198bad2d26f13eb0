import { defineGlobal } from './define.js';
import { dictionary } from './event.js';

/* structuredClone by the standard's own steps. Blobs cannot change and are shared; other platform objects are refused. */

type Seen = Map<object, unknown>;

/** Lets a class of the platform say how its instances are cloned or transferred. */
export interface CloneRule {
  is(value: object): boolean;
  clone?(value: object): object;
  /** The object that will take over, and what makes it do so: by then nothing can fail any more. */
  transfer?(value: object): Move;
}
interface Move {
  result: object;
  commit(): void;
}
const rules: CloneRule[] = [];
export function addCloneRule(rule: CloneRule): void {
  rules.push(rule);
}
const platformClasses = new Set<unknown>();
/** Instances of these cannot be cloned. */
export function refuseClones(...classes: unknown[]): void {
  for (const each of classes) platformClasses.add(each);
}

const dataClone = (what: string) => new DOMException(`${what} could not be cloned.`, 'DataCloneError');
const tag = (value: object) => Object.prototype.toString.call(value).slice(8, -1);
const getter = (prototype: object, name: string) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: unknown) => unknown;

/** Asks the engine for what an object is, since a guest may set Symbol.toStringTag to anything. */
function brand(probe: () => unknown): boolean {
  try {
    probe();
    return true;
  } catch {
    return false;
  }
}
const bufferSize = getter(ArrayBuffer.prototype, 'byteLength');
const mapSize = getter(Map.prototype, 'size');
const setSize = getter(Set.prototype, 'size');
const dateValue = Date.prototype.getTime;
const regExpSource = getter(RegExp.prototype, 'source');
const viewTag = getter(Object.getPrototypeOf(Uint8Array.prototype) as object, Symbol.toStringTag as never);
const PRIMITIVES = [Boolean, Number, String, BigInt] as const;
const ERRORS = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [type.name, type]),
);

export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return brand(() => Reflect.apply(bufferSize, value, []));
}
const isDetached = (buffer: ArrayBuffer) => (buffer as ArrayBuffer & { detached: boolean }).detached;

function cloneObject(value: object, seen: Seen): unknown {
  const known = seen.get(value);
  if (known !== undefined) return known;
  const keep = <T>(clone: T): T => {
    seen.set(value, clone);
    return clone;
  };
  if (typeof value === 'function') throw dataClone(`The function ${value.name || 'without a name'}`);
  const rule = rules.find((each) => each.is(value));
  if (rule) {
    if (!rule.clone) throw dataClone(`A ${tag(value)}`);
    return keep(rule.clone(value));
  }
  for (const type of platformClasses) if (value instanceof (type as typeof Object)) throw dataClone(`A ${tag(value)}`);
  if (isArrayBuffer(value)) return keep(copyBuffer(value));
  if (ArrayBuffer.isView(value)) return keep(cloneView(value, seen));
  if (Array.isArray(value)) return cloneEntries(value, keep(new Array(value.length) as unknown as object), seen);
  const special = cloneSpecial(value, seen, keep);
  return special ?? cloneEntries(value, keep({}), seen);
}

function cloneSpecial(value: object, seen: Seen, keep: <T>(clone: T) => T): object | undefined {
  if (brand(() => Reflect.apply(dateValue, value, []))) return keep(new Date(Reflect.apply(dateValue, value, [])));
  if (brand(() => Reflect.apply(mapSize, value, [])))
    return cloneMap(value as Map<unknown, unknown>, keep(new Map()), seen);
  if (brand(() => Reflect.apply(setSize, value, []))) return cloneSet(value as Set<unknown>, keep(new Set()), seen);
  if (value !== RegExp.prototype && brand(() => Reflect.apply(regExpSource, value, [])))
    return keep(new RegExp((value as RegExp).source, (value as RegExp).flags));
  if ((Error as unknown as { isError?: (value: unknown) => boolean }).isError?.(value) ?? value instanceof Error)
    return cloneError(value as Error, seen, keep);
  for (const type of PRIMITIVES) {
    const unbox = () => Reflect.apply(type.prototype.valueOf as () => unknown, value, []);
    if (brand(unbox)) return keep(Object(unbox()) as object);
  }
  if (brand(() => Reflect.apply(Symbol.prototype.valueOf, value, []))) throw dataClone('A symbol');
  // What holds internal slots and is none of the above: promises, weak collections, iterators, …
  if (/^(Promise|Weak\w+|FinalizationRegistry|Generator|AsyncGenerator|Module)$/.test(tag(value)))
    throw dataClone(`A ${tag(value)}`);
  return undefined;
}

function cloneMap(from: Map<unknown, unknown>, to: Map<unknown, unknown>, seen: Seen): object {
  for (const [key, item] of [...Map.prototype.entries.call(from)]) to.set(clone(key, seen), clone(item, seen));
  return to;
}

function cloneSet(from: Set<unknown>, to: Set<unknown>, seen: Seen): object {
  for (const item of [...Set.prototype.values.call(from)]) to.add(clone(item, seen));
  return to;
}

function cloneEntries(from: object, to: object, seen: Seen): object {
  for (const key of Object.keys(from)) {
    // A getter that ran before may have removed it.
    if (!Object.hasOwn(from, key)) continue;
    const value = clone((from as Record<string, unknown>)[key], seen);
    Object.defineProperty(to, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return to;
}

function cloneError(error: Error, seen: Seen, keep: <T>(clone: T) => T): object {
  const own = (name: string) => {
    const property = Object.getOwnPropertyDescriptor(error, name);
    return property && 'value' in property ? property : undefined;
  };
  const message = own('message');
  const type = ERRORS.get(String(error.name)) ?? Error;
  const copy = keep(new type(message && String(message.value)));
  const set = (name: string, value: unknown) =>
    Object.defineProperty(copy, name, { value, writable: true, configurable: true, enumerable: false });
  set('stack', String(error.stack ?? ''));
  const cause = own('cause');
  if (cause) set('cause', clone(cause.value, seen));
  return copy;
}

function copyBuffer(buffer: ArrayBuffer): ArrayBuffer {
  if (isDetached(buffer)) throw dataClone('A detached ArrayBuffer');
  const { resizable, maxByteLength } = buffer as ArrayBuffer & { resizable: boolean; maxByteLength: number };
  if (!resizable) return buffer.slice(0);
  const copy = new (ArrayBuffer as new (size: number, options: object) => ArrayBuffer)(buffer.byteLength, {
    maxByteLength,
  });
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}

function cloneView(view: ArrayBufferView, seen: Seen): ArrayBufferView {
  const { buffer, byteOffset } = view;
  const name = Reflect.apply(viewTag, view, []) as string | undefined;
  const copy = clone(buffer, seen) as ArrayBuffer;
  const length = name === undefined ? view.byteLength : (view as Uint8Array).length;
  const type = (name === undefined ? DataView : views.get(name)) as typeof DataView;
  return new type(copy, byteOffset, length);
}
const { Float16Array } = globalThis as unknown as { Float16Array?: typeof Float32Array };
const views = new Map(
  [
    Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array,
    BigInt64Array, BigUint64Array, ...(Float16Array ? [Float16Array] : []),
  ].map((type) => [type.name, type as unknown]),
); // biome-ignore format: a list

function clone(value: unknown, seen: Seen): unknown {
  if (typeof value === 'symbol') throw dataClone('A symbol');
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return value;
  return cloneObject(value, seen);
}

function moveOf(item: object): Move {
  if (isArrayBuffer(item) && !isDetached(item)) {
    // A copy first: when something else cannot be cloned, the original has to be as it was.
    const result = copyBuffer(item);
    return { result, commit: () => void (item as ArrayBuffer & { transfer(): ArrayBuffer }).transfer() };
  }
  const move = rules.find((rule) => rule.transfer && rule.is(item))?.transfer?.(item);
  if (!move) throw dataClone('What cannot be transferred');
  return move;
}

/** Clones, moving the objects in `transfer`; their successors come in the same order. Throws DataCloneError. */
export function cloneWithTransfer(value: unknown, transfer: Iterable<object>): { value: unknown; moved: object[] } {
  const moves = new Map<object, Move>();
  for (const item of transfer) {
    if (moves.has(item)) throw dataClone('What is listed twice');
    moves.set(item, moveOf(item));
  }
  const seen: Seen = new Map([...moves].map(([item, { result }]) => [item, result]));
  const copy = clone(value, seen);
  for (const { commit } of moves.values()) commit();
  return { value: copy, moved: [...moves.values()].map(({ result }) => result) };
}

addCloneRule({
  is: (value) => value instanceof DOMException,
  clone: (value) => new DOMException((value as DOMException).message, (value as DOMException).name),
});

function structuredClone(value: unknown, options?: { transfer?: Iterable<object> }): unknown {
  if (arguments.length === 0) throw new TypeError('structuredClone needs a value.');
  return cloneWithTransfer(value, dictionary(options).transfer ?? []).value;
}

defineGlobal('structuredClone', structuredClone);
