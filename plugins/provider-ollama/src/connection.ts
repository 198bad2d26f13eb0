import { codedError, isAbort, toUpstreamError } from '@atoll/plugin-sdk/services/llm-provider';
import { type Fetch, Ollama } from 'ollama/browser';
import { badAnswer, reportedError, statusError } from './errors.js';
import { LineGuard } from './ndjson.js';

/**
 * Runs one exchange with Ollama through the official client. The client gets a `fetch` that knows the caller's signal
 * (the client has none of its own for plain requests), turns failures into catalogue errors and guards the framing.
 * Whatever happens, the connection is given up at the end, so that a caller who went away stops the model.
 */
export async function* exchange<T>(
  host: string,
  signal: AbortSignal,
  run: (client: Ollama) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const controller = new AbortController();
  const client = new Ollama({ host, fetch: guardedFetch(host, AbortSignal.any([signal, controller.signal]), true) });
  try {
    yield* run(client);
  } catch (error) {
    throw translate(error, host);
  } finally {
    controller.abort();
  }
}

/** The same for an exchange with one answer. */
export async function ask<T>(host: string, signal: AbortSignal, run: (client: Ollama) => Promise<T>): Promise<T> {
  const client = new Ollama({ host, fetch: guardedFetch(host, signal, false) });
  try {
    return await run(client);
  } catch (error) {
    throw translate(error, host);
  }
}

/** Only what the client itself throws is left to translate: its own errors, and those of reading the body. */
function translate(error: unknown, host: string): unknown {
  if (isAbort(error) || codedError(error)) return toUpstreamError(error, `Ollama at ${host}`);
  if (error instanceof SyntaxError) return badAnswer('answered with something that is not JSON.');
  if (error instanceof Error && error.message.startsWith('Did not receive done')) {
    return badAnswer('broke off before the end of its answer.');
  }
  // The client throws the text of an error line in mid-stream as a plain Error.
  if (error instanceof Error && error.name === 'Error') return reportedError(error.message, 200);
  return toUpstreamError(error, `Ollama at ${host}`);
}

function guardedFetch(host: string, signal: AbortSignal, framed: boolean): Fetch {
  return async (input, init) => {
    let response: Response;
    try {
      const ending = init?.signal ? AbortSignal.any([signal, init.signal]) : signal;
      response = await fetch(input, { ...init, signal: ending });
    } catch (error) {
      throw toUpstreamError(error, `Ollama at ${host}`);
    }
    if (!response.ok) throw statusError(response.status, await response.text().catch(() => ''), response.headers);
    if (!response.body) throw badAnswer('answered without a body.');
    if (!framed) return response;
    const { status, headers } = response;
    return new Response(response.body.pipeThrough(new TransformStream(new LineGuard())), { status, headers });
  };
}
