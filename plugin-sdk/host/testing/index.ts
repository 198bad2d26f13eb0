import { fileURLToPath } from 'node:url';
import { type FakeFetch, type FakeMethod, PluginUnderTest } from '@atoll/kernel/testing';
import type { CloudEvent } from '@atoll/plugin-sdk';

export interface TestPluginOptions {
  /** Values for the manifest's `config` schema. */
  config?: Record<string, unknown>;
  /** Answers the plugin's `fetch`; permissions are checked as always. */
  fetch?: FakeFetch;
  /** Service → method → answer. An async iterable streams. */
  services?: Record<string, Record<string, FakeMethod>>;
  /** Names of secrets that exist. */
  secrets?: string[];
  /** `true` or a start time: `Date`, `performance.now` and timers stand still until `clock.advance`. */
  clock?: boolean | Date;
}

export interface TestReply {
  status: number;
  headers: Headers;
  text: string;
  json(): unknown;
}

export interface TestRequest {
  json?: unknown;
  body?: NonNullable<RequestInit['body']>;
  headers?: Record<string, string>;
}

export interface TestedPlugin {
  /** Sends a request as a client would; paths are absolute (`/api/v1/hello`). */
  request(method: string, path: string, options?: TestRequest): Promise<TestReply>;
  /** Publishes an event; resolves when the plugin's listeners are done, rejects when one failed. */
  emit(topic: string, data?: unknown): Promise<void>;
  /** What was published, by the plugin and by `emit`. */
  readonly events: readonly CloudEvent[];
  readonly logs: readonly { level: string; message: string; fields?: Record<string, unknown> }[];
  readonly clock: { advance(ms: number): Promise<void> };
  close(): Promise<void>;
}

/** Runs a plugin's folder in a real isolate, with fakes for chosen capabilities. Rejects with the reason when it does not start. */
export async function testPlugin(folder: string | URL, options: TestPluginOptions = {}): Promise<TestedPlugin> {
  const { clock, ...rest } = options;
  const now =
    clock === undefined || clock === false ? undefined : clock === true ? Date.UTC(2030, 0, 1) : clock.getTime();
  const dir = folder instanceof URL ? fileURLToPath(folder) : folder;
  const plugin = await PluginUnderTest.start(dir, { ...rest, ...(now !== undefined && { now }) });
  return {
    request: (method, path, request = {}) => send(plugin, method, path, request),
    emit: (topic, data = null) => plugin.emit(topic, data),
    events: plugin.events,
    get logs() {
      return plugin.logs();
    },
    clock: { advance: (ms) => plugin.advance(ms) },
    close: () => plugin.close(),
  };
}

async function send(
  plugin: PluginUnderTest,
  method: string,
  path: string,
  { json, body, headers = {} }: TestRequest,
): Promise<TestReply> {
  const payload = json === undefined ? body : JSON.stringify(json);
  const response = await plugin.request(method, path, {
    headers: { ...(json !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(payload !== undefined && { body: payload }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) as unknown };
}
