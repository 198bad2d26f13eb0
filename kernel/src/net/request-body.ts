import { Readable } from 'node:stream';
import { AtollError } from '@atoll/plugin-sdk/contract';

/** The body as it is sent: pulled chunk by chunk as the server takes it, and cut at `limit` bytes with NET_TOO_LARGE. */
export function requestBody(body: Buffer | AsyncIterable<Buffer>, limit: number): Buffer | Readable {
  const tooLarge = () => new AtollError('NET_TOO_LARGE', `The request is larger than ${limit} bytes.`);
  if (!Buffer.isBuffer(body)) return Readable.from(limited(body, limit, tooLarge), { objectMode: false });
  if (body.length > limit) throw tooLarge();
  return body;
}

/** Not a generator: giving it up before it was started has to reach the source as well. */
function limited(source: AsyncIterable<Buffer>, limit: number, tooLarge: () => AtollError): AsyncIterable<Buffer> {
  const inner = source[Symbol.asyncIterator]();
  let size = 0;
  const iterator: AsyncIterableIterator<Buffer> = {
    [Symbol.asyncIterator]: () => iterator,
    async next() {
      const result = await inner.next();
      size += result.done ? 0 : result.value.length;
      if (size <= limit) return result;
      await inner.return?.();
      throw tooLarge();
    },
    async return() {
      await inner.return?.();
      return { done: true, value: undefined };
    },
  };
  return iterator;
}
