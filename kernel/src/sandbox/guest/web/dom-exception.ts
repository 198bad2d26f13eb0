import { defineClass } from './define.js';

const CODES: Record<string, number> = {
  IndexSizeError: 1, HierarchyRequestError: 3, WrongDocumentError: 4, InvalidCharacterError: 5, NoModificationAllowedError: 7,
  NotFoundError: 8, NotSupportedError: 9, InUseAttributeError: 10, InvalidStateError: 11, SyntaxError: 12,
  InvalidModificationError: 13, NamespaceError: 14, InvalidAccessError: 15, TypeMismatchError: 17, SecurityError: 18,
  NetworkError: 19, AbortError: 20, URLMismatchError: 21, QuotaExceededError: 22, TimeoutError: 23, InvalidNodeTypeError: 24,
  DataCloneError: 25,
}; // biome-ignore format: one table

class DOMException extends Error {
  readonly #name: string;
  constructor(message = '', name: string | { name?: string; cause?: unknown } = 'Error') {
    const options = typeof name === 'object' ? name : { name };
    super(String(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.#name = String(options.name ?? 'Error');
  }
  override get name(): string {
    return this.#name;
  }
  get code(): number {
    return CODES[this.#name] ?? 0;
  }
}

for (const [name, code] of Object.entries(CODES)) {
  const constant = `${name
    .replace(/Error$/, '')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toUpperCase()}_ERR`;
  for (const target of [DOMException, DOMException.prototype])
    Object.defineProperty(target, constant, { value: code, enumerable: true });
}
defineClass('DOMException', DOMException);
