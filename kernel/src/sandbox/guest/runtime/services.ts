import { AtollError } from '@atoll/plugin-sdk/contract';
import type { ServiceProvider } from '@atoll/plugin-sdk';
import type { ServiceCallMeta } from '../../protocol/messages.js';
import { stringifyResult } from './errors.js';
import { handle, type Outcome } from './inbound.js';
import { ask, syscall } from './outbound.js';
import type { IncomingStream } from './streams.js';

interface MethodContract {
  input?: object;
  output?: object;
  stream?: boolean;
  chunk?: object;
  timeoutMs?: number;
}
interface Contract {
  name: string;
  version: string;
  methods: Record<string, MethodContract>;
}
type Implementation = Record<string, (input: unknown, call: object) => unknown>;
interface CallOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
}

/** The `services` capability: providing services to other plugins and calling theirs. */
export function createServices(register: (syscall: string, registration: object) => void) {
  const provided: Implementation[] = [];

  handle('service', async (call): Promise<Outcome> => {
    const meta = call.meta as ServiceCallMeta;
    const implementation = provided[meta.i];
    const method = implementation && Object.hasOwn(implementation, meta.n) ? implementation[meta.n] : undefined;
    if (!implementation || !method) throw new AtollError('SERVICE_METHOD_UNKNOWN', `There is no "${meta.n}".`);
    const context = {
      caller: meta.f,
      principal: meta.p,
      get signal() {
        return call.signal;
      },
    };
    const result = await Reflect.apply(method, implementation, [call.json, context]);
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
      const source = (result as AsyncIterable<unknown>)[Symbol.asyncIterator]();
      return { stream: source, encode: (value) => stringifyResult(value, 'A value of the stream') };
    }
    return result === undefined ? {} : { body: stringifyResult(result, 'The answer') };
  });

  return {
    provide(contract: Contract, implementation: Implementation) {
      for (const method of Object.keys(contract.methods)) {
        if (typeof implementation[method] !== 'function')
          throw new TypeError(`The service "${contract.name}" needs a method "${method}".`);
      }
      const index = provided.push(implementation) - 1;
      register('services.provide', {
        index,
        registration: { name: contract.name, version: contract.version, methods: contract.methods },
      });
    },
    use(contract: Contract | string, options: { provider?: string } = {}) {
      const target = { service: typeof contract === 'string' ? contract : contract.name, provider: options.provider };
      return new Proxy({}, { get: (_, method) => clientMethod(target, method) });
    },
    providers: (name: string) => ask<ServiceProvider[]>('services.providers', { name }),
  };
}

function clientMethod(target: { service: string; provider: string | undefined }, method: string | symbol) {
  // A client must not look like a promise, or it could not be returned from an async function.
  if (typeof method !== 'string' || method === 'then') return undefined;
  return (input?: unknown, options: CallOptions = {}) => callService({ ...target, method, input }, options);
}

/** A promise of the value, or of the stream; iterating it directly awaits it first. */
function callService(request: object, options: CallOptions) {
  const promise = syscall('services.call', { ...options, body: JSON.stringify(request) }).then(({ body, stream }) => {
    if (stream) return iterateValues(stream);
    return typeof body === 'string' ? (JSON.parse(body) as unknown) : undefined;
  });
  return Object.assign(promise, {
    async *[Symbol.asyncIterator]() {
      const stream = await promise;
      if (typeof stream !== 'object' || stream === null || !(Symbol.asyncIterator in stream)) {
        throw new AtollError('BAD_REQUEST', 'This service method does not stream; await it instead.');
      }
      yield* stream as AsyncIterable<unknown>;
    },
  });
}

function iterateValues(stream: IncomingStream): AsyncIterableIterator<unknown> {
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      const { done, value } = await stream.next();
      return done ? { done: true, value: undefined } : { done: false, value: JSON.parse(value as string) as unknown };
    },
    async return() {
      stream.cancel();
      return { done: true, value: undefined };
    },
  };
}
