/** Puts a value on the global object the way browsers do: writable, configurable, not enumerable. */
export function defineGlobal(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

/** Gives a class the name that guests should see, whatever the minifier called it, and makes it global. */
export function defineClass(name: string, type: abstract new (...args: never[]) => unknown): void {
  Object.defineProperty(type, 'name', { value: name, configurable: true });
  const { prototype } = type as { prototype: object };
  if (!Object.hasOwn(prototype, Symbol.toStringTag)) {
    Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
  }
  defineGlobal(name, type);
}
