import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { keyIdOf, type SigningKey, verifySignature } from './publisher-key.js';

/** Where in a package its statement lies. */
export const ENVELOPE_FILE = 'atoll.dsse.json';
const PAYLOAD_TYPE = 'application/vnd.atoll.package+json';

const text = (maxLength: number) => Type.String({ minLength: 1, maxLength });

/** What a publisher states about a package: its identity, and the SHA-512 of each file (SRI form) by its path. */
export const Statement = Type.Object({
  name: text(214),
  version: text(256),
  id: text(64),
  files: Type.Record(text(1024), Type.String({ pattern: '^sha512-[A-Za-z0-9+/]{86}==$' }), { maxProperties: 10_000 }),
});
export type Statement = Static<typeof Statement>;

/** DSSE (dead simple signing envelope), with the public key beside its signature for trust on first use. */
const Envelope = Type.Object({
  payloadType: Type.Literal(PAYLOAD_TYPE),
  payload: Type.String({ maxLength: 4_194_304 }),
  signatures: Type.Array(Type.Object({ keyid: text(128), sig: text(256), publicKey: text(256) }), { maxItems: 1 }),
});
type Envelope = Static<typeof Envelope>;

const envelopeSchema = Compile(Envelope);
const statementSchema = Compile(Statement);

/** Who signed: not yet a word about trust. */
export interface Signer {
  keyId: string;
  publicKey: string;
}

/** The pre-authentication encoding of DSSE: what is signed, so that a type can't pass for another. */
const preAuth = (payload: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `), payload]);

/** The envelope's file. Without a key it protects from accidents, not from anybody. */
export function sealStatement(statement: Statement, key: SigningKey | undefined): Buffer {
  const files = Object.fromEntries(Object.entries(statement.files).sort(([a], [b]) => (a < b ? -1 : 1)));
  const { name, version, id } = statement;
  const payload = Buffer.from(JSON.stringify({ name, version, id, files }));
  const envelope: Envelope = {
    payloadType: PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: key ? [{ keyid: key.keyId, sig: key.sign(preAuth(payload)), publicKey: key.publicKey }] : [],
  };
  return Buffer.from(`${JSON.stringify(envelope, null, 2)}\n`);
}

/** Throws PACKAGE_INVALID when it is no envelope of ours, SIGNATURE_INVALID when a signature does not fit. */
export function openStatement(file: Buffer): { statement: Statement; signer?: Signer } {
  const envelope = parseJson(file);
  if (!envelopeSchema.Check(envelope)) throw malformed();
  const payload = Buffer.from(envelope.payload, 'base64');
  const [signature] = envelope.signatures;
  if (signature) assertSigned(signature, payload);
  const statement = parseJson(payload);
  if (!statementSchema.Check(statement) || Object.hasOwn(statement.files, '__proto__')) throw malformed();
  return { statement, ...(signature && { signer: { keyId: signature.keyid, publicKey: signature.publicKey } }) };
}

function assertSigned({ keyid, sig, publicKey }: Envelope['signatures'][number], payload: Buffer): void {
  if (keyIdOf(publicKey) !== keyid)
    throw new AtollError('SIGNATURE_INVALID', `The key in the package is not ${keyid}.`);
  if (!verifySignature(publicKey, preAuth(payload), sig)) {
    throw new AtollError('SIGNATURE_INVALID', `The signature of ${keyid} does not fit the package's statement.`);
  }
}

const malformed = (): AtollError =>
  new AtollError('PACKAGE_INVALID', `${ENVELOPE_FILE} is not what \`atoll pack\` writes.`);

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw malformed();
  }
}
