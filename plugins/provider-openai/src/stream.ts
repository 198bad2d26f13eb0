import { type ChatChunk, excerpt, toUpstreamError } from '@atoll/plugin-sdk/services/llm-provider';
import { ChunkReader } from './answer.js';
import { badAnswer } from './errors.js';
import { SseParser } from './sse.js';

/**
 * The chunks of a streamed answer. It is complete when a finish reason came; a stream that ends without one was cut
 * off, with or without `[DONE]`.
 */
export async function* readStream(response: Response, server: string): AsyncGenerator<ChatChunk> {
  if (!response.body) throw badAnswer('answered without a body.');
  const parser = new SseParser();
  const reader = new ChunkReader();
  let finished = false;
  for await (const event of events(response.body, parser, server)) {
    if (event.trim() === '[DONE]') break;
    const chunk = reader.read(parse(event));
    if (!chunk) continue;
    finished ||= chunk.finishReason !== undefined;
    yield chunk;
  }
  if (finished) return;
  const other = parser.stray ?? parser.unfinished;
  if (other === '' || /^(?::|data|event|id|retry)/.test(other))
    throw badAnswer('broke off before the end of its answer.');
  throw badAnswer(`answered a stream with something that is none: ${excerpt(other)}`);
}

async function* events(body: ReadableStream<Uint8Array>, parser: SseParser, server: string): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    while (true) {
      const { done, value } = await reader.read();
      const texts = parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      yield* texts;
      if (done) return;
    }
  } catch (error) {
    if (error instanceof RangeError) throw badAnswer(`sent ${error.message}.`);
    throw toUpstreamError(error, server);
  } finally {
    // Whoever stops reading early stops the server as well.
    await reader.cancel().catch(() => {});
  }
}

function parse(event: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(event);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Reported below, like any other nonsense.
  }
  throw badAnswer(`sent an event that is not JSON: ${excerpt(event)}`);
}
