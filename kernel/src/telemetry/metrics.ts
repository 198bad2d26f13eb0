import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Names and numbers a plugin may send: more would let it fill the kernel's memory. */
const MAX_PLUGIN_METRICS = 50;
const NAME = /^[a-z][a-z0-9_]{0,63}$/;
/** Combinations of method, route and status. Plugins come and go with ever new routes; beyond this they count as one. */
const MAX_SERIES = 2_000;
const OTHER = 'other';

type RequestLabel = 'method' | 'route' | 'status';

/** One combination of labels. The total is counted here and handed over when metrics are read: a request hashes labels once. */
interface RequestSeries {
  labels: Record<RequestLabel, string>;
  total: number;
  duration: Histogram.Internal<RequestLabel>;
}

/** Prometheus metrics of the kernel and of its plugins. */
export class Metrics {
  readonly registry = new Registry();
  readonly #duration: Histogram<RequestLabel>;
  readonly #series = new Map<string, RequestSeries>();
  readonly #plugin = new Map<string, Set<string>>();
  #inFlight = 0;

  constructor() {
    collectDefaultMetrics({ register: this.registry, prefix: 'atoll_' });
    const labelNames = ['method', 'route', 'status'] as const;
    const registers = [this.registry];
    const series = this.#series;
    new Counter({
      name: 'atoll_http_requests_total',
      help: 'Requests, by route pattern.',
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { labels, total } of series.values()) this.inc(labels, total);
      },
    });
    this.#duration = new Histogram({
      name: 'atoll_http_request_duration_seconds',
      help: 'Time from the request to the end of the answer, by route pattern.',
      labelNames,
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
    this.gauge('http_requests_in_flight', 'Requests that are being answered.', () => this.#inFlight);
  }

  startRequest(): void {
    this.#inFlight++;
  }

  /** `route` is a pattern, never a path: labels have to be few. */
  endRequest(method: string, route: string, status: number, seconds: number): void {
    this.#inFlight--;
    const series = this.#seriesOf(method, route, status);
    series.total++;
    series.duration.observe(seconds);
  }

  #seriesOf(method: string, route: string, status: number): RequestSeries {
    const key = `${method} ${status} ${route}`;
    const known = this.#series.get(key);
    if (known) return known;
    if (this.#series.size >= MAX_SERIES && route !== OTHER) return this.#seriesOf(method, OTHER, status);
    const labels = { method, route, status: String(status) };
    const series = { labels, total: 0, duration: this.#duration.labels(labels) };
    this.#series.set(key, series);
    return series;
  }

  /** A counter of the kernel; `add` counts. */
  counter<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
  ): (labels?: Record<L, string>, by?: number) => void {
    const counter = new Counter({ name: `atoll_${name}`, help, labelNames, registers: [this.registry] });
    return (labels, by = 1) => (labels ? counter.inc(labels, by) : counter.inc(by));
  }

  /** A histogram of the kernel; `observe` takes a value. */
  histogram(name: string, help: string, buckets: number[]): (value: number) => void {
    const histogram = new Histogram({ name: `atoll_${name}`, help, buckets, registers: [this.registry] });
    return (value) => histogram.observe(value);
  }

  /** A gauge that is read when the metrics are. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({ name: `atoll_${name}`, help, registers: [this.registry], collect() { this.set(read()); } }); // biome-ignore format: one line
  }

  /** One value of a plugin; malformed or too many are dropped. */
  recordPlugin(plugin: string, metric: unknown): void {
    const { kind, name, value } = (metric ?? {}) as { kind?: unknown; name?: unknown; value?: unknown };
    if (typeof name !== 'string' || !NAME.test(name) || typeof value !== 'number' || !Number.isFinite(value)) return;
    if (typeof kind !== 'string') return;
    const names = this.#plugin.get(plugin) ?? new Set();
    this.#plugin.set(plugin, names);
    if (!names.has(name) && names.size >= MAX_PLUGIN_METRICS) return;
    names.add(name);
    this.#record(kind, `atoll_plugin_${name}`, plugin, value);
  }

  #record(kind: string, name: string, plugin: string, value: number): void {
    const existing = this.registry.getSingleMetric(name);
    const options = { name, help: `Metric "${name}" of plugins.`, labelNames: ['plugin'], registers: [this.registry] };
    if (kind === 'counter' && value >= 0) {
      const counter = existing ?? new Counter(options);
      if (counter instanceof Counter) counter.inc({ plugin }, value);
    } else if (kind === 'gauge') {
      const gauge = existing ?? new Gauge(options);
      if (gauge instanceof Gauge) gauge.set({ plugin }, value);
    } else if (kind === 'histogram') {
      const histogram = existing ?? new Histogram(options);
      if (histogram instanceof Histogram) histogram.observe({ plugin }, value);
    }
  }
}
