import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { countValues } from '../sandbox/host/guest-json.js';
import { whereJsonBreaks } from './json-error.js';

const tooLarge = (limit: number) => new AtollError('BODY_TOO_LARGE', `The body may have at most ${limit} bytes.`);

/** The whole body of a request. Rejects with BODY_TOO_LARGE as soon as that is certain, CANCELLED when the client goes away. */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  // Of a request that ended before anyone listened there are no more events.
  if (request.destroyed) return Promise.reject(new AtollError('CANCELLED'));
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) {
    discard(request);
    return Promise.reject(tooLarge(limit));
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) {
        chunks.push(chunk);
        return;
      }
      request.off('data', onData);
      discard(request);
      reject(tooLarge(limit));
    };
    request.on('data', onData);
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    request.on('error', () => reject(new AtollError('CANCELLED')));
    // Every request closes in the end; an error made for each would cost more than the rest of this.
    request.on('close', () => {
      if (!request.complete) reject(new AtollError('CANCELLED'));
    });
  });
}

const DISCARD_BYTES = 16_777_216;

/** Reads on for a while, so that a client that is still sending gets the answer; then the connection ends. */
function discard(request: IncomingMessage): void {
  let left = DISCARD_BYTES;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.resume();
}

const JSON_TYPE = /^application\/(?:[a-z0-9.+-]{1,100}\+)?json\s*(?:;|$)/i;
const OTHER_CHARSET = /;\s*charset\s*=\s*(?!"?utf-?8"?\s*(?:;|$))/i;

/** The body as JSON. Throws UNSUPPORTED_MEDIA_TYPE, INVALID_JSON, or VALIDATION_FAILED for too many values. */
export function parseJson(body: Buffer, headers: IncomingHttpHeaders | Record<string, string>): unknown {
  checkType(headers['content-type'], headers['content-encoding']);
  if (!isUtf8(body)) throw new AtollError('INVALID_JSON', 'The body is not UTF-8.');
  const text = body.toString('utf8');
  countValues(text);
  try {
    return JSON.parse(text);
  } catch {
    throw new AtollError('INVALID_JSON', `The body stops being JSON at ${whereJsonBreaks(text)}.`);
  }
}

function checkType(type: string | undefined, encoding: string | undefined): void {
  if (type !== 'application/json' && (!JSON_TYPE.test(type ?? '') || OTHER_CHARSET.test(type ?? ''))) {
    const given = type === undefined ? 'no content-type' : type.slice(0, 100);
    throw new AtollError('UNSUPPORTED_MEDIA_TYPE', `Expected application/json in UTF-8, got ${given}.`);
  }
  if (encoding !== undefined && encoding !== 'identity')
    throw new AtollError('UNSUPPORTED_MEDIA_TYPE', `Bodies are taken as they are, not in ${encoding.slice(0, 100)}.`);
}
