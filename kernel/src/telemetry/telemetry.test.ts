import { describe, expect, it } from 'vitest';
import { createLogger } from './logger.js';
import { Metrics } from './metrics.js';
import { prettyDestination } from './pretty.js';
import { continueTrace, newTraceparent } from './trace.js';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('traces', () => {
  it('start with ids of their own', () => {
    expect(newTraceparent()).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(newTraceparent()).not.toBe(newTraceparent());
  });

  it('go on with a new span and the same flag', () => {
    const next = continueTrace(`00-${TRACE}-${SPAN}-01`);
    expect(next).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    expect(next).not.toContain(SPAN);
    expect(continueTrace(`00-${TRACE}-${SPAN}-00`)).toMatch(/-00$/);
    expect(continueTrace(`cc-${TRACE}-${SPAN}-01-what-comes-later`)).toContain(TRACE);
  });

  it.each([
    undefined, '', 'x', `00-${TRACE}-${SPAN}`, `00-${TRACE.toUpperCase()}-${SPAN}-01`, `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`, `ff-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-01-more`, `00-${TRACE}-${SPAN}-01\r\nx: y`,
    `cc-${TRACE}-${SPAN}-01-${'x'.repeat(1_000)}`,
  ])('start anew after %j', (given) => {
    expect(continueTrace(given)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(continueTrace(given)).not.toContain(TRACE);
  }); // biome-ignore format: a list
});

describe('logs', () => {
  const options = { level: 'info', pretty: false, pluginLines: 10 } as const;

  it('are JSON lines without credentials', () => {
    const lines: string[] = [];
    const log = createLogger(options, { write: (line) => void lines.push(line) });
    log.info({ headers: { authorization: 'Bearer x' }, key: 'x', id: 1 }, 'hello');
    log.debug('not at this level');
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      {
        level: 'info',
        time: expect.any(String),
        headers: { authorization: '********' },
        key: '********',
        id: 1,
        msg: 'hello',
      },
    ]);
  });

  it('can be made for people', () => {
    let text = '';
    const log = createLogger(options, prettyDestination({ write: (line) => (text += line) }));
    log.warn({ plugin: 'a', n: 1 }, 'careful');
    expect(text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}careful plugin=a n=1\n$/);
  });
});

describe('metrics', () => {
  const text = (metrics: Metrics) => metrics.registry.metrics();

  it('count requests, those in flight, and the lag of the event loop', async () => {
    const metrics = new Metrics();
    metrics.startRequest();
    metrics.startRequest();
    metrics.endRequest('GET', '/x/:id', 200, 0.01);
    const lines = await text(metrics);
    expect(lines).toContain('atoll_http_requests_total{method="GET",route="/x/:id",status="200"} 1');
    expect(lines).toContain('atoll_http_request_duration_seconds_count{method="GET",route="/x/:id",status="200"} 1');
    expect(lines).toContain('atoll_http_requests_in_flight 1');
    expect(lines).toContain('atoll_nodejs_eventloop_lag_seconds');
  });

  it('stay few however many routes there were', async () => {
    const metrics = new Metrics();
    for (let n = 0; n < 5_000; n++) metrics.endRequest('GET', `/x/${n}`, 200, 0.01);
    const series = (await text(metrics)).split('\n').filter((line) => line.startsWith('atoll_http_requests_total{'));
    expect(series).toHaveLength(2_001);
    expect(series).toContain('atoll_http_requests_total{method="GET",route="other",status="200"} 3000');
  });

  it('can be added to', async () => {
    const metrics = new Metrics();
    const restarts = metrics.counter('restarts_total', 'x', ['plugin']);
    restarts({ plugin: 'a' });
    restarts({ plugin: 'a' }, 2);
    metrics.counter('plain_total', 'x')();
    metrics.histogram('start_seconds', 'x', [1])(0.5);
    metrics.gauge('cells', 'x', () => 3);
    const lines = await text(metrics);
    for (const line of [
      'atoll_restarts_total{plugin="a"} 3',
      'atoll_plain_total 1',
      'atoll_start_seconds_count 1',
      'atoll_cells 3',
    ])
      expect(lines).toContain(line);
  });

  it('take a bounded number of well-formed values from plugins', async () => {
    const metrics = new Metrics();
    const bad: unknown[] = [
      null, 1, {}, { kind: 'counter', name: 'Bad', value: 1 }, { kind: 'counter', name: 'a}\n', value: 1 },
      { kind: 'counter', name: 'a', value: Number.NaN }, { kind: 'counter', name: 'a', value: '1' }, { kind: 'counter', name: 'down', value: -1 },
    ]; // biome-ignore format: a list
    for (const metric of bad) metrics.recordPlugin('p', metric);
    metrics.recordPlugin('p', { kind: 'counter', name: 'ups', value: 2 });
    metrics.recordPlugin('q', { kind: 'gauge', name: 'ups', value: 2 });
    for (let n = 0; n < 100; n++) metrics.recordPlugin('many', { kind: 'gauge', name: `g${n}`, value: n });
    const lines = (await text(metrics)).split('\n').filter((line) => line.startsWith('atoll_plugin_'));
    expect(lines).toContain('atoll_plugin_ups{plugin="p"} 2');
    expect(lines.filter((line) => line.includes('"q"'))).toEqual([]);
    expect(lines.filter((line) => line.includes('"many"'))).toHaveLength(50);
  });
});
