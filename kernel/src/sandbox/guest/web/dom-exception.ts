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

/** `NOT_FOUND_ERR` of NotFoundError. */
function constantOf(name: string): string {
  const words =
    name
      .replace(/Error$/, '')
      .replace('InUse', 'Inuse')
      .match(/URL|[A-Z][a-z]+/g) ?? [];
  return `${words.join('_').toUpperCase()}_ERR`;
}

const OLD = { DOMSTRING_SIZE_ERR: 2, NO_DATA_ALLOWED_ERR: 6, VALIDATION_ERR: 16 };
const constants = [...Object.entries(CODES).map(([name, code]) => [constantOf(name), code]), ...Object.entries(OLD)];
for (const [constant, value] of constants as [string, number][]) {
  for (const target of [DOMException, DOMException.prototype])
    Object.defineProperty(target, constant, { value, enumerable: true });
}
defineClass('DOMException', DOMException);
