import { type Http, Type } from '@atoll/plugin-sdk';
import type { Router } from '../router.js';
import { embeddingResponse } from './embedding-answer.js';
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
  addJsonRoute(http, router.inFlight, '/embeddings', schemas, async (body, { signal, done }) => {
    const { encoding_format: format = 'float' } = body;
    if (format !== 'float' && format !== 'base64' && format !== null)
      throw badRequest('encoding_format must be float or base64.');
    const input = readInput(body.input);
    let release = () => {};
    const onEnd = () => {
      release();
      done();
    };
    try {
      const output = await router.embed(
        { input, ...defined({ model: body.model, dimensions: body.dimensions }) },
        { signal },
        // A number takes eight bytes, as a byte of a request does by the time it is answered.
        (length) => {
          release = router.inFlight.takeBytes(length * input.length);
        },
      );
      return embeddingResponse(output, format ?? 'float', onEnd);
    } catch (error) {
      onEnd();
      throw error;
    }
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
