import { randomBytes } from 'node:crypto';
import tr46 from 'tr46';
import { GuestCompression } from './compression.js';
import { GuestCrypto } from './crypto.js';

/** Web APIs that a cell answers itself, for one isolate. Everything that comes in is untrusted; errors go back as data. */
export interface LocalOps {
  sync(operation: string, argument: string): string;
  call(operation: string, meta: unknown, bytes?: Buffer): Promise<{ meta: unknown; bytes?: Uint8Array }>;
  dispose(): void;
}

const MAX_RANDOM_BYTES = 65_536;
const MAX_DOMAIN_LENGTH = 5_000;

export function createLocalOps(): LocalOps {
  const crypto = new GuestCrypto();
  const compression = new GuestCompression();
  return {
    sync(operation, argument) {
      if (operation === 'random') return random(argument);
      if (operation === 'idna') return idna(argument);
      return '';
    },
    call(operation, meta, bytes) {
      const [area, name] = operation.split('.', 2) as [string, string | undefined];
      return area === 'compression' ? compression.call(name ?? '', meta, bytes) : crypto.call(operation, meta, bytes);
    },
    dispose() {
      crypto.dispose();
      compression.dispose();
    },
  };
}

function random(argument: string): string {
  const count = Number(argument);
  return Number.isInteger(count) && count >= 0 && count <= MAX_RANDOM_BYTES ? randomBytes(count).toString('hex') : '';
}

/** `[function, domain, options]` → `{ v }`, as the shim of tr46 in the prelude expects it. */
function idna(argument: string): string {
  try {
    const [name, domain, options] = JSON.parse(argument) as ['toASCII' | 'toUnicode', string, Record<string, boolean>];
    if (typeof domain !== 'string' || domain.length > MAX_DOMAIN_LENGTH) return '{"v":null}';
    const value = name === 'toASCII' ? tr46.toASCII(domain, options) : tr46.toUnicode(domain, options);
    return JSON.stringify({ v: value });
  } catch {
    return '{"v":null}';
  }
}
