import type { EmbedOutput } from '@atoll/plugin-sdk/services/llm-provider';

const encoder = new TextEncoder();
/** Characters that are sent at once. */
const PIECE = 262_144;

/** An embeddings answer in pieces: whole, those of many texts would be larger than what a plugin may send at once. */
export function embeddingResponse(
  { model, embeddings, usage }: EmbedOutput,
  format: 'float' | 'base64',
  onEnd: () => void,
): Response {
  const pieces = piecesOf(embeddings, format);
  const tokens = usage?.promptTokens ?? 0;
  const tail = JSON.stringify({ model, usage: { prompt_tokens: tokens, total_tokens: tokens } }).slice(1);
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const { done, value } = pieces.next();
        controller.enqueue(encoder.encode(done ? `],${tail}` : value));
        if (!done) return;
        onEnd();
        controller.close();
      },
      cancel: onEnd,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { 'content-type': 'application/json' } });
}

function* piecesOf(embeddings: readonly number[][], format: 'float' | 'base64'): Generator<string, undefined> {
  let piece = '{"object":"list","data":[';
  for (const [index, vector] of embeddings.entries()) {
    const embedding = format === 'base64' ? toBase64(vector) : vector;
    piece += `${index > 0 ? ',' : ''}${JSON.stringify({ object: 'embedding', index, embedding })}`;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = '';
  }
  yield piece;
  return undefined;
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
