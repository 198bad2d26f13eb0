import autocannon from 'autocannon';
import { Agent, request } from 'node:http';
import { startAtoll } from './atoll-process.js';
import { ms, percent, perSecond, type Row } from './report.js';
import { startServer } from './server-process.js';
import { median, rotated, Samples } from './stats.js';

const ROUNDS = 5;
const SECONDS = 2;
/** Without being counted before each of these: while the others were measured, V8 may have thrown away what it had compiled. */
const LEAD_IN_SECONDS = 1;
const CONNECTIONS = 64;
const ONE_BY_ONE = 400;
const SIZES = { '200 B': 200, '10 KB': 10_000 };

interface Target {
  name: string;
  url: string;
  headers: Record<string, string>;
}

const ECHO = {
  id: 'echo',
  setup: "http.post('/', { body: Type.Object({ text: Type.String() }) }, ({ body }) => body);",
  manifest: { limits: { concurrency: 128 } },
};

/** A JSON echo as node:http, as a Koa route, and as a plugin's route: throughput, and latency one by one. */
export async function benchHttp(): Promise<Row[]> {
  await using bare = await startServer('bare');
  await using koa = await startServer('koa');
  await using atoll = await startAtoll([ECHO]);
  const json = { 'content-type': 'application/json' };
  const targets: Target[] = [
    { name: 'bare', url: bare.url, headers: json },
    { name: 'koa', url: `${koa.url}/x/echo`, headers: json },
    {
      name: 'atoll',
      url: `${atoll.kernel.url}/x/echo`,
      headers: { ...json, authorization: `Bearer ${atoll.kernel.key}` },
    },
  ];
  const samples = new Samples();
  for (let round = -1; round < ROUNDS; round++) {
    for (const [size, bytes] of Object.entries(SIZES)) {
      const body = bodyOf(bytes);
      for (const target of rotated(targets, Math.max(round, 0))) {
        const latency = await oneByOne(target, body);
        const rate = await throughput(target, body);
        // The first round only warms up.
        if (round < 0) continue;
        samples.add(`${target.name} ${size} latency`, latency);
        samples.add(`${target.name} ${size} rate`, rate);
      }
    }
  }
  return Object.keys(SIZES).flatMap((size) => rows(size, samples));
}

function rows(size: string, samples: Samples): Row[] {
  const [bare, koa, atoll] = ['bare', 'koa', 'atoll'].map((name) => samples.median(`${name} ${size} rate`)) as [
    number,
    number,
    number,
  ];
  const [bareMs, koaMs, atollMs] = ['bare', 'koa', 'atoll'].map((name) =>
    samples.median(`${name} ${size} latency`),
  ) as [number, number, number];
  const more = atollMs - koaMs;
  return [
    {
      what: `HTTP ${size}, ${CONNECTIONS} connections`,
      result: `${perSecond(atoll)} = ${percent(atoll / koa)} of Koa, ${percent(atoll / bare)} of node:http`,
      baseline: `Koa ${perSecond(koa)}, node:http ${perSecond(bare)}`,
      target: '≥ 60 % of Koa',
      met: atoll / koa >= 0.6,
    },
    {
      what: `HTTP ${size}, one by one`,
      result: `${ms(atollMs)} = ${ms(more)} more than Koa`,
      baseline: `Koa ${ms(koaMs)}, node:http ${ms(bareMs)}`,
      target: '≤ 0.5 ms more',
      met: more <= 0.5,
    },
  ];
}

/** A JSON body of exactly this many bytes. */
function bodyOf(bytes: number): string {
  const frame = JSON.stringify({ text: '' }).length;
  return JSON.stringify({ text: 'x'.repeat(bytes - frame) });
}

async function throughput(target: Target, body: string): Promise<number> {
  await load(target, body, LEAD_IN_SECONDS);
  return load(target, body, SECONDS);
}

/** Answers per second. */
async function load({ name, url, headers }: Target, body: string, seconds: number): Promise<number> {
  const result = await autocannon({ url, method: 'POST', headers, body, connections: CONNECTIONS, duration: seconds });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${name}: ${result.non2xx} refused, ${result.errors} failed.`);
  return result['2xx'] / result.duration;
}

async function oneByOne({ url, headers }: Target, body: string): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  for (let n = 0; n < ONE_BY_ONE; n++) {
    const began = performance.now();
    await post(url, headers, body, agent);
    times.push(performance.now() - began);
  }
  agent.destroy();
  return median(times);
}

function post(url: string, headers: Record<string, string>, body: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { method: 'POST', headers: { ...headers, 'content-length': Buffer.byteLength(body) }, agent },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`${url} answered ${response.statusCode}.`));
        response.resume().on('end', resolve).on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
