import type { webcrypto } from 'node:crypto';

/*
 * What one operation may be and cost. All of it runs on a few threads that the guests of a cell share, and cannot be interrupted:
 * without these bounds one call could hold a thread for hours or take gigabytes.
 */
const MAX_GENERATED_RSA_BITS = 4_096;
const MAX_IMPORTED_RSA_BITS = 8_192;
/** PBKDF2's iterations times the blocks they make: about two seconds. */
const MAX_PBKDF2_ROUNDS = 2_000_000;
const MAX_DERIVED_BITS = 1_048_576;
const MAX_HMAC_BITS = 65_536;

const HASH_BITS: Record<string, number> = { 'SHA-1': 160, 'SHA-256': 256, 'SHA-384': 384, 'SHA-512': 512 };
/**
 * Node offers more from release to release (Argon2 with memory of its own choice, KMAC with outputs of any length). What is not
 * listed has not been bounded.
 */
const ALGORITHMS = new Set([
  ...Object.keys(HASH_BITS), 'RSASSA-PKCS1-V1_5', 'RSA-PSS', 'RSA-OAEP', 'ECDSA', 'ECDH', 'ED25519', 'X25519', 'AES-CTR', 'AES-CBC',
  'AES-GCM', 'AES-KW', 'HMAC', 'HKDF', 'PBKDF2',
]); // biome-ignore format: a list

/** Where an operation has its algorithms. */
const PLACES: Record<string, readonly number[]> = {
  digest: [0], encrypt: [0], decrypt: [0], sign: [0], verify: [0], generateKey: [0], deriveBits: [0], importKey: [2], deriveKey: [0, 2],
  wrapKey: [3], unwrapKey: [3, 4],
}; // biome-ignore format: a table

type Fields = Record<string, unknown>;
const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const nameOf = (algorithm: unknown): string =>
  String(typeof algorithm === 'string' ? algorithm : fieldsOf(algorithm).name).toUpperCase();
const refuse = (message: string) => new DOMException(message, 'OperationError');

/** Throws NotSupportedError or OperationError for what must not run. */
export function assertAffordable(operation: string, args: readonly unknown[]): void {
  for (const place of PLACES[operation] ?? []) assertAlgorithm(args[place]);
  if (operation === 'generateKey') assertGenerated(fieldsOf(args[0]));
  if (operation === 'deriveBits') assertDerived(fieldsOf(args[0]), Number(args[2]));
  if (operation === 'deriveKey') assertDerived(fieldsOf(args[0]), derivedBits(args[2]));
}

/** Throws OperationError for a key that would be too slow to use. */
export function assertUsable(key: webcrypto.CryptoKey): void {
  const { modulusLength } = key.algorithm as { modulusLength?: number };
  if (modulusLength !== undefined && modulusLength > MAX_IMPORTED_RSA_BITS)
    throw refuse(`RSA keys may have at most ${MAX_IMPORTED_RSA_BITS} bits.`);
}

function assertAlgorithm(algorithm: unknown): void {
  const { hash } = fieldsOf(algorithm);
  const name = nameOf(algorithm);
  if (!ALGORITHMS.has(name) || (hash !== undefined && !Object.hasOwn(HASH_BITS, nameOf(hash))))
    throw new DOMException('The algorithm is not supported.', 'NotSupportedError');
}

function assertGenerated({ modulusLength, publicExponent, length, name }: Fields): void {
  if (Number(modulusLength) > MAX_GENERATED_RSA_BITS)
    throw refuse(`RSA keys may be generated with at most ${MAX_GENERATED_RSA_BITS} bits.`);
  if (publicExponent instanceof Uint8Array && !isUsualExponent(publicExponent))
    throw refuse('The public exponent has to be 3 or 65537.');
  if (nameOf(name) === 'HMAC' && Number(length) > MAX_HMAC_BITS)
    throw refuse(`HMAC keys may have at most ${MAX_HMAC_BITS} bits.`);
}

/** As browsers have it. The search for primes need not end for others. */
function isUsualExponent(bytes: Uint8Array): boolean {
  const digits = Buffer.from(bytes)
    .toString('hex')
    .replace(/^(00)+/, '');
  return digits === '03' || digits === '010001';
}

function assertDerived(algorithm: Fields, bits: number): void {
  if (bits > MAX_DERIVED_BITS) throw refuse(`At most ${MAX_DERIVED_BITS} bits are derived at once.`);
  if (nameOf(algorithm) !== 'PBKDF2') return;
  const blocks = Math.max(1, Math.ceil(bits / (HASH_BITS[nameOf(algorithm.hash)] ?? 160)));
  if (Number(algorithm.iterations) * blocks > MAX_PBKDF2_ROUNDS)
    throw refuse(`More than ${MAX_PBKDF2_ROUNDS} rounds of PBKDF2 (iterations × blocks).`);
}

function derivedBits(algorithm: unknown): number {
  const { length } = fieldsOf(algorithm);
  // HMAC without a length takes the block size of its hash.
  return length === undefined ? 1_024 : Number(length);
}
