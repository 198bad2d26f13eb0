import { startAtoll } from './atoll-process.js';
import { ms, type Row } from './report.js';
import { startServer } from './server-process.js';
import { median, rotated, Samples } from './stats.js';

const ROUNDS = 41;
const CHUNKS = 20;
/** The code runs cold before that, at both ends. */
const NOT_COUNTED = 20;

interface Source {
  name: string;
  url: string;
  headers: Record<string, string>;
}

/** An event stream read directly, and through a plugin that fetches it and passes it on. */
export async function benchStreaming(): Promise<Row[]> {
  await using ticker = await startServer('ticker');
  const setup = `http.get('/', async ({ signal }) => {
    const upstream = await fetch('${ticker.url}/?chunks=${CHUNKS}', { signal });
    return new Response(upstream.body, { headers: { 'content-type': 'text/event-stream' } });
  });`;
  await using atoll = await startAtoll([{ id: 'stream', setup, manifest: { permissions: { net: [ticker.url] } } }]);
  const sources: Source[] = [
    { name: 'direct', url: `${ticker.url}/?chunks=${CHUNKS}`, headers: {} },
    { name: 'atoll', url: `${atoll.kernel.url}/x/stream`, headers: { authorization: `Bearer ${atoll.kernel.key}` } },
  ];
  const samples = new Samples();
  for (let round = -NOT_COUNTED; round < ROUNDS; round++) {
    for (const source of rotated(sources, Math.max(round, 0))) {
      const { firstByte, perChunk } = await read(source);
      if (round < 0) continue;
      samples.add(`${source.name} first byte`, firstByte);
      samples.add(`${source.name} chunk`, perChunk);
    }
  }
  return [
    row('first byte', 'Stream, time to the first byte', samples),
    row('chunk', 'Stream, from sent to received, per chunk', samples),
  ];
}

function row(key: string, what: string, samples: Samples): Row {
  const [atoll, direct] = [samples.median(`atoll ${key}`), samples.median(`direct ${key}`)];
  const more = atoll - direct;
  const target = key === 'first byte' ? { target: '≤ 5 ms more', met: more <= 5 } : {};
  return { what, result: `${ms(atoll)} = ${ms(more)} more`, baseline: `direct ${ms(direct)}`, ...target };
}

/** The time to the first byte, and the median of what each event took from the upstream to here, in ms. */
async function read({ name, url, headers }: Source): Promise<{ firstByte: number; perChunk: number }> {
  const began = performance.now();
  const response = await fetch(url, { headers });
  let firstByte: number | undefined;
  let text = '';
  const lags: number[] = [];
  for await (const chunk of response.body!) {
    const now = performance.now();
    firstByte ??= now - began;
    text += Buffer.from(chunk).toString();
    const events = text.split('\n\n');
    text = events.pop()!;
    for (const event of events)
      lags.push(performance.timeOrigin + now - (JSON.parse(event.slice(6)) as { sent: number }).sent);
  }
  if (firstByte === undefined || lags.length !== CHUNKS)
    throw new Error(`${name}: ${response.status}, ${lags.length} of ${CHUNKS} events.`);
  return { firstByte, perChunk: median(lags) };
}
