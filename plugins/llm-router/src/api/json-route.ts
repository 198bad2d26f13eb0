import { AtollError, type Http, type RouteSchemas, type Static } from '@atoll/plugin-sdk';
import type { InFlight } from '../in-flight.js';
import { countValues } from './json-size.js';
import { ANSWER_MS, MAX_BODY, TAGS } from './limits.js';

type Schema = NonNullable<RouteSchemas['body']>;
type Release = () => void;

export interface JsonCall {
  signal: AbortSignal;
  /** To be called when a streamed answer is over; for any other answer that is seen to. */
  done: Release;
}

/** A POST route with a JSON body, which is measured before it is parsed: large ones share a limited memory. */
export function addJsonRoute<S extends Schema>(
  http: Http,
  inFlight: InFlight,
  path: string,
  { body, summary }: { body: S; summary: string },
  answer: (body: Static<S>, call: JsonCall) => Promise<unknown>,
): void {
  const schemas = { body: body as Schema, summary, maxBodyBytes: MAX_BODY, timeoutMs: ANSWER_MS, tags: TAGS };
  http.post(path, schemas, async ({ request, headers, signal }) => {
    const held: Release[] = [];
    const done = () => {
      for (const release of held) release();
    };
    // A client that goes away while its answer streams ends it, whoever reads it then.
    signal.addEventListener('abort', done);
    try {
      const value = await readJson(request, Number(headers['content-length'] ?? 0), inFlight, held);
      const result = await answer(value as Static<S>, { signal, done });
      if (!(result instanceof Response)) done();
      return result;
    } catch (error) {
      done();
      throw error;
    }
  });
}

/** What it takes of the memory of all is held until the answer is over. */
async function readJson(request: Request, announced: number, inFlight: InFlight, held: Release[]): Promise<unknown> {
  if (announced > 0) held.push(inFlight.takeBytes(announced));
  const text = await request.text();
  if (announced === 0) held.push(inFlight.takeBytes(text.length));
  held.push(inFlight.takeValues(countValues(text)));
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AtollError('INVALID_JSON', `The body is not JSON: ${(error as Error).message}`);
  }
}
