import type { Principal } from '@atoll/plugin-sdk/contract';
import { MASK, maskBySchema } from '../../config/index.js';
import { mapCall } from './call-parts.js';
import type { Known, Masker } from './masker.js';
import type { CallOutput, Payload, RecordedCall } from './recorded-call.js';

/** The schemas of a target: values that they mark `secret: true` are masked. */
export interface TargetSchemas {
  params?: unknown;
  query?: unknown;
  headers?: unknown;
  body?: unknown;
  response?: unknown;
}

/** Values of a plugin's configuration that its schema marks as secret. */
export function secretsOfConfig(schema: unknown, config: Record<string, unknown>, masker: Masker): Known {
  const known: Known = new Map();
  learnMarked(schema, config, masker, known);
  return known;
}

/** A call without anything that must not be kept; undefined when a value may be spread over the chunks of a stream. */
export function maskCall(
  call: RecordedCall,
  masker: Masker,
  { base, schemas = {} }: { base: Known; schemas?: TargetSchemas | undefined },
): RecordedCall | undefined {
  const known: Known = new Map(base);
  learnPerson(call.principal, masker, known);
  const { a, q, h } = call.meta;
  learnMarked(schemas.params, a, masker, known);
  learnMarked(schemas.query, q, masker, known);
  learnMarked(schemas.headers, h, masker, known);
  learnMarked(schemas.body, jsonOf(call.body), masker, known);
  learnMarked(schemas.response, jsonOf(call.output.body), masker, known);
  mapCall(call, (part) => {
    masker.collect(isTexts(part) ? [...part, part.join('')] : part, known);
    return part;
  });
  let whole = true;
  const masked = mapCall(call, (part) => {
    const result = masker.mask(part, known);
    if (isTexts(part) && masker.mask(part.join(''), known) !== (result as string[]).join('')) whole = false;
    return result;
  });
  return whole ? masked : undefined;
}

/** What a rehearsal has put out, masked as the recording is. */
export function maskOutput(output: CallOutput, masker: Masker, base: Known): CallOutput {
  const known: Known = new Map(base);
  const call: RecordedCall = { target: { kind: 'setup' }, at: 0, ms: 0, meta: {}, output, hostCalls: [] };
  mapCall(call, (part) => {
    masker.collect(part, known);
    return part;
  });
  return mapCall(call, (part) => masker.mask(part, known)).output;
}

const isTexts = (part: unknown): part is string[] =>
  Array.isArray(part) && part.length > 1 && part.every((item) => typeof item === 'string');

const jsonOf = (payload: Payload | undefined): unknown => (payload && 'json' in payload ? payload.json : undefined);

/** The ids of users and of their keys stand for people. */
function learnPerson(principal: Principal | undefined, masker: Masker, known: Known): void {
  if (principal?.kind !== 'user' && principal?.kind !== 'key') return;
  for (const id of [principal.id, principal.user]) if (id !== undefined) masker.learn(id, known);
}

function learnMarked(schema: unknown, value: unknown, masker: Masker, known: Known): void {
  if (schema === undefined || value === undefined) return;
  walk(value, maskBySchema(schema, value));
  function walk(plain: unknown, masked: unknown): void {
    if (masked === MASK && plain !== MASK) return masker.learnAll(plain, known);
    if (typeof plain !== 'object' || plain === null || typeof masked !== 'object' || masked === null) return;
    for (const [key, item] of Object.entries(plain)) walk(item, (masked as Record<string, unknown>)[key]);
  }
}
