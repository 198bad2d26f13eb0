import {
  AtollError,
  type ServiceMethodRegistration,
  type ServiceProvider,
  type ServiceRegistration,
} from '@atoll/plugin-sdk';
import type { PluginManifest } from '@atoll/registry';
import semver from 'semver';
import { parseGuestJson } from '../sandbox/host/guest-json.js';
import type { Syscall, SyscallReply } from '../sandbox/host/syscall.js';
import { compileGuestSchema, type Validator } from '../schema/index.js';
import type { PluginInstance } from './instance.js';

interface Method {
  registration: ServiceMethodRegistration;
  input?: Validator;
  output?: Validator;
  chunk?: Validator;
}

interface Provider {
  instance: PluginInstance;
  index: number;
  name: string;
  version: string;
  methods: Map<string, Method>;
}

export interface ServiceRequest {
  service: string;
  provider?: string;
  method: string;
  input?: unknown;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** The services that active plugins provide, and the calls between plugins: validated both ways, within the caller's deadline. */
export class ServiceRegistry {
  readonly #providers: Provider[] = [];
  /** Of every version, also those that are not the active one. */
  readonly #byInstance = new WeakMap<PluginInstance, Provider[]>();

  constructor(private readonly onChange: (service: string) => void = () => {}) {}

  /** Registers a service of an instance; it is callable once that instance is active. */
  register(instance: PluginInstance, index: number, registration: ServiceRegistration): void {
    const methods = new Map<string, Method>();
    for (const [name, method] of Object.entries(registration.methods)) methods.set(name, compileMethod(method));
    const provider: Provider = { instance, index, name: registration.name, version: registration.version, methods };
    this.#byInstance.set(instance, [...(this.#byInstance.get(instance) ?? []), provider]);
    instance.registered.service(index, registration);
    instance.addEffect({
      kind: 'service',
      label: `${registration.name}@${registration.version}`,
      activate: () => {
        this.#providers.push(provider);
        this.onChange(registration.name);
      },
      undo: () => {
        const at = this.#providers.indexOf(provider);
        if (at < 0) return;
        this.#providers.splice(at, 1);
        this.onChange(registration.name);
      },
    });
  }

  /** Active providers of a service, whatever their version. */
  providersOf(service: string): Provider[] {
    return this.#providers.filter((provider) => provider.name === service);
  }

  providersFor(consumer: PluginManifest, service: string): ServiceProvider[] {
    return this.#fitting(consumer, service).map(({ instance, version }) => ({
      plugin: instance.id,
      pluginVersion: instance.manifest.version,
      service,
      version,
    }));
  }

  async call(consumer: PluginManifest, request: ServiceRequest, syscall: Syscall): Promise<SyscallReply> {
    let provider = this.#taking(consumer, request, syscall);
    while (provider.instance.paused) {
      await provider.instance.resumed();
      provider = this.#taking(consumer, request, syscall);
    }
    const method = provider.methods.get(request.method);
    if (!method) {
      const known = [...provider.methods.keys()].join(', ');
      throw new AtollError(
        'SERVICE_METHOD_UNKNOWN',
        `"${request.service}" of ${provider.instance.id} has no "${request.method}"; it has: ${known}.`,
      );
    }
    assertMatches(
      method.input,
      request.input,
      `The input of ${request.service}.${request.method}`,
      'VALIDATION_FAILED',
    );
    const { meter } = provider.instance;
    const ask = () => this.#ask(provider, method, { consumer, request, syscall });
    return meter ? meter.measure(ask) : ask();
  }

  async #ask(
    provider: Provider,
    method: Method,
    { consumer, request, syscall }: { consumer: PluginManifest; request: ServiceRequest; syscall: Syscall },
  ): Promise<SyscallReply> {
    const timeoutMs =
      method.registration.timeoutMs ?? provider.instance.manifest.limits.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const reply = await provider.instance.call({
      meta: { m: 'service', i: provider.index, n: request.method, f: consumer.id },
      body: request.input === undefined ? undefined : JSON.stringify(request.input),
      timeoutMs,
      deadline: syscall.deadline,
      traceparent: syscall.traceparent,
      principal: syscall.principal,
      signal: syscall.signal,
      streams: true,
    });
    const where = `${request.service}.${request.method} of ${provider.instance.id}`;
    if (reply.stream) return { stream: checkedChunks(reply.stream, method.chunk, where) };
    if (!reply.body) return {};
    if (method.output)
      assertMatches(method.output, parseAnswer(reply.body, where), `The answer of ${where}`, 'PLUGIN_BAD_RESPONSE');
    return { json: reply.body };
  }

  #fitting(consumer: PluginManifest, service: string): Provider[] {
    const range = consumer.consumes[service] ?? '*';
    return this.providersOf(service).filter((provider) => semver.satisfies(provider.version, range));
  }

  /** The chosen provider, or what its canary has in the place of it. */
  #taking(consumer: PluginManifest, request: ServiceRequest, { principal }: Syscall): Provider {
    const chosen = this.#choose(consumer, request);
    const instance = chosen.instance.taking({ principal });
    if (instance === chosen.instance) return chosen;
    const range = consumer.consumes[request.service] ?? '*';
    const own = this.#byInstance.get(instance) ?? [];
    return own.find(({ name, version }) => name === request.service && semver.satisfies(version, range)) ?? chosen;
  }

  #choose(consumer: PluginManifest, { service, provider: wanted }: ServiceRequest): Provider {
    const fitting = this.#fitting(consumer, service);
    // Newest contract first, then by plugin id, so that the choice does not depend on the order of start.
    fitting.sort((a, b) => semver.rcompare(a.version, b.version) || a.instance.id.localeCompare(b.instance.id));
    const chosen = wanted === undefined ? fitting[0] : fitting.find(({ instance }) => instance.id === wanted);
    if (chosen) return chosen;
    const who = wanted === undefined ? 'No active plugin' : `The plugin "${wanted}" does not run or`;
    throw new AtollError('SERVICE_UNAVAILABLE', `${who} provides "${service}" ${consumer.consumes[service] ?? ''}.`);
  }
}

function compileMethod(registration: ServiceMethodRegistration): Method {
  const method: Method = { registration };
  if (registration.input) method.input = compileGuestSchema(registration.input);
  if (registration.output) method.output = compileGuestSchema(registration.output);
  if (registration.chunk) method.chunk = compileGuestSchema(registration.chunk);
  return method;
}

function assertMatches(
  validator: Validator | undefined,
  value: unknown,
  what: string,
  code: 'VALIDATION_FAILED' | 'PLUGIN_BAD_RESPONSE',
): void {
  if (!validator || validator.check(value)) return;
  const errors = validator.errors(value);
  const first = errors[0];
  throw new AtollError(
    code,
    `${what} does not match its schema: ${first ? `${first.pointer || '/'} ${first.message}` : 'wrong'}.`,
    { errors },
  );
}

function parseAnswer(body: Buffer, where: string): unknown {
  try {
    return parseGuestJson(body);
  } catch (error) {
    throw new AtollError('PLUGIN_BAD_RESPONSE', `The answer of ${where} can't be checked. ${(error as Error).message}`);
  }
}

async function* checkedChunks(
  stream: AsyncIterable<Buffer>,
  validator: Validator | undefined,
  where: string,
): AsyncGenerator<string> {
  for await (const chunk of stream) {
    const text = chunk.toString('utf8');
    if (validator) assertMatches(validator, parseAnswer(chunk, where), `A chunk of ${where}`, 'PLUGIN_BAD_RESPONSE');
    yield text;
  }
}
