import type { Static, TSchema } from 'typebox';
import type { Principal } from './contract/principal.js';
import type { ServiceProvider } from './contract/registrations.js';

export interface MethodContract {
  input?: TSchema;
  output?: TSchema;
  /** The method answers with a stream of values; each matches `chunk`. */
  stream?: boolean;
  chunk?: TSchema;
  /** Longest time in ms for the answer, and between chunks. */
  timeoutMs?: number;
}

/** A service contract: what providers implement and consumers call. */
export interface ServiceContract<M extends Record<string, MethodContract> = Record<string, MethodContract>> {
  name: string;
  /** Semantic version. */
  version: string;
  methods: M;
}

/** Declares a service contract; providers and consumers import the same one. */
export function defineService<const M extends Record<string, MethodContract>>(
  contract: ServiceContract<M>,
): ServiceContract<M> {
  return contract;
}

type Input<M> = M extends { input: infer T extends TSchema } ? Static<T> : undefined;
type Output<M> = M extends { output: infer T extends TSchema } ? Static<T> : unknown;
type Chunk<M> = M extends { chunk: infer T extends TSchema } ? Static<T> : unknown;

/** What a provider's method is told besides its input. */
export interface ServiceCall {
  /** Aborts when the caller goes away or its deadline passes. */
  readonly signal: AbortSignal;
  /** Plugin id of the caller. */
  readonly caller: string;
  readonly principal: Principal;
}

export type ServiceImplementation<M extends Record<string, MethodContract>> = {
  [K in keyof M]: M[K] extends { stream: true }
    ? (input: Input<M[K]>, call: ServiceCall) => AsyncIterable<Chunk<M[K]>> | Promise<AsyncIterable<Chunk<M[K]>>>
    : (input: Input<M[K]>, call: ServiceCall) => Output<M[K]> | Promise<Output<M[K]>>;
};

export interface CallOptions {
  signal?: AbortSignal;
  /** Shortens the deadline; it can't go past the caller's own. */
  timeoutMs?: number;
}

/** A stream of values from a service: iterate it, or await it first to learn of an early error. */
export type ServiceStream<T> = Promise<AsyncIterable<T>> & AsyncIterable<T>;

export type ServiceClient<M extends Record<string, MethodContract>> = {
  [K in keyof M]: M[K] extends { stream: true }
    ? (input: Input<M[K]>, options?: CallOptions) => ServiceStream<Chunk<M[K]>>
    : (input: Input<M[K]>, options?: CallOptions) => Promise<Output<M[K]>>;
};

/** A client used by service name only, without its contract's types. */
export type UntypedServiceClient = Record<
  string,
  // biome-ignore lint/suspicious/noExplicitAny: the contract is not known here
  (input?: unknown, options?: CallOptions) => Promise<any> & AsyncIterable<any>
>;

export interface UseOptions {
  /** Which plugin's implementation to use, when there are several. */
  provider?: string;
}

export interface Services {
  /** Registers this plugin as a provider; the manifest must list it under `provides`. */
  provide<M extends Record<string, MethodContract>>(
    contract: ServiceContract<M>,
    implementation: ServiceImplementation<M>,
  ): void;
  /** A client for a service; the manifest must list it under `consumes`. Each call finds the provider anew. */
  use<M extends Record<string, MethodContract>>(contract: ServiceContract<M>, options?: UseOptions): ServiceClient<M>;
  use(name: string, options?: UseOptions): UntypedServiceClient;
  /** The active providers of a service that this plugin consumes. */
  providers(name: string): Promise<ServiceProvider[]>;
}
