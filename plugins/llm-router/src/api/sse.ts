const encoder = new TextEncoder();

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
};

/** One Server-Sent Event. */
export const sseEvent = (data: unknown, event?: string): string =>
  `${event === undefined ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`;

/**
 * Answers with Server-Sent Events. What fails once the stream is under way cannot change the status any more, so it
 * becomes the events that `onError` gives, and the stream ends without its usual last word. `onEnd` is told when it is
 * over, however it ends.
 */
export function sseResponse(
  events: AsyncIterable<string>,
  onError: (error: unknown) => string,
  onEnd: () => void,
): Response {
  const iterator = events[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next();
          if (!done) return controller.enqueue(encoder.encode(value));
        } catch (error) {
          controller.enqueue(encoder.encode(onError(error)));
        }
        onEnd();
        controller.close();
      },
      async cancel() {
        onEnd();
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: HEADERS });
}
