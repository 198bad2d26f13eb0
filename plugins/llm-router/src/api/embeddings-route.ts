import { type Http, Type } from '@atoll/plugin-sdk';
import type { Router } from '../router.js';
import { addJsonRoute } from './json-route.js';
import { badRequest, unsupported } from './problem.js';
import { defined, optional } from './schema.js';

const MOST_INPUTS = 2048;

const Body = Type.Object({
  model: Type.Optional(Type.String({ minLength: 1 })),
  input: Type.Unknown({ description: 'Text, or a list of texts.' }),
  dimensions: optional.integer(1),
  encoding_format: optional.string,
});

export function addEmbeddingsRoute(http: Http, router: Router): void {
  const schemas = { body: Body, summary: 'Embed texts' };
  addJsonRoute(http, router.inFlight, '/embeddings', schemas, async (body, { signal }) => {
    const { encoding_format: format = 'float' } = body;
    if (format !== 'float' && format !== 'base64' && format !== null)
      throw badRequest('encoding_format must be float or base64.');
    const input = readInput(body.input);
    const { model, embeddings, usage } = await router.embed(
      { input, ...defined({ model: body.model, dimensions: body.dimensions }) },
      { signal },
    );
    const tokens = usage?.promptTokens ?? 0;
    return {
      object: 'list',
      data: embeddings.map((vector, index) => {
        return { object: 'embedding', index, embedding: format === 'base64' ? toBase64(vector) : vector };
      }),
      model,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    };
  });
}

function readInput(input: unknown): string[] {
  const texts = Array.isArray(input) ? input : [input];
  if (texts.length === 0) throw badRequest('input is empty.');
  if (texts.some((text) => typeof text === 'number' || Array.isArray(text))) {
    throw unsupported('input: arrays of tokens are not supported, because each model has its own; send text.');
  }
  if (!texts.every((text): text is string => typeof text === 'string'))
    throw badRequest('input must be text or a list of texts.');
  if (texts.includes('')) throw badRequest('input must not contain an empty text.');
  if (texts.length > MOST_INPUTS)
    throw badRequest(`input has ${texts.length} texts; ${MOST_INPUTS} are allowed at once.`);
  return texts;
}

/** Little-endian 32-bit floats, as OpenAI's clients expect them. */
function toBase64(vector: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  vector.forEach((value, index) => {
    view.setFloat32(index * 4, value, true);
  });
  const bytes = new Uint8Array(view.buffer);
  let binary = '';
  for (let at = 0; at < bytes.length; at += 4096) binary += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return btoa(binary);
}
