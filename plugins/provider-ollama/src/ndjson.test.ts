import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineGuard } from './ndjson.js';

async function pass(pieces: Uint8Array[]): Promise<string> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
  return new Response(source.pipeThrough(new TransformStream(new LineGuard()))).text();
}

function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.slice(start, at[index] ?? bytes.length));
}

const encode = (text: string) => new TextEncoder().encode(text);

describe('NDJSON', () => {
  it('passes whole lines on, wherever they were cut', async () => {
    const object = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }));
    await fc.assert(
      fc.asyncProperty(fc.array(object), fc.array(fc.nat(5000)), async (objects, places) => {
        const text = objects.map((one) => `${JSON.stringify(one)}\n`).join('');
        expect(await pass(cut(encode(text), places))).toBe(text);
      }),
    );
  });

  it('takes a last line without its end, and blank lines', async () => {
    expect(await pass([encode('{"a":1}\r\n\n{"b":2}')])).toBe('{"a":1}\n{"b":2}\n');
  });

  it('makes words of an error, and nothing of one that is null', async () => {
    expect(await pass([encode('{"a":1}\n{"error":"in words"}\n')])).toBe('{"a":1}\n{"error":"in words"}\n');
    expect(await pass([encode('{"error":{"message":"an object"}}\n')])).toBe('{"error":"an object"}\n');
    expect(await pass([encode('{"a":1,"error":null}\n')])).toBe('{"a":1}\n');
  });

  it.each(['<html></html>\n', '{"a":1}\n{"b":', '[1]\n', 'null\n', '{"a":1}\nnoise\n{"done":true}\n'])(
    'fails on %j',
    async (text) => {
      await expect(pass([encode(text)])).rejects.toThrow(/Ollama server sent/);
    },
  );
});
