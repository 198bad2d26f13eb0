import { AtollError, type CallOptions, type Log, type Services } from '@atoll/plugin-sdk';
import {
  type ChatChunk,
  type ChatOutput,
  type EmbedOutput,
  llmProvider,
  type RoutedChatInput,
  type RoutedEmbedInput,
} from '@atoll/plugin-sdk/services/llm-provider';
import type { Config } from './config.js';
import { embedInBatches } from './embedding-batches.js';
import { InFlight } from './in-flight.js';
import { Catalogs } from './models/catalog.js';
import { Resolver, type Target } from './models/resolver.js';

/** A stream whose first chunk has arrived, so that what fails early has already been thrown. */
export interface OpenStream {
  target: Target;
  chunks: AsyncIterable<ChatChunk>;
}

/** Sends each request to the provider that has its model. */
export class Router {
  readonly catalogs: Catalogs;
  readonly resolver: Resolver;
  readonly inFlight = new InFlight();

  constructor(
    private readonly services: Services,
    config: Config,
    log: Log,
  ) {
    this.catalogs = new Catalogs(services, log);
    this.resolver = new Resolver(config, this.catalogs);
  }

  async chat(input: RoutedChatInput, options: CallOptions): Promise<ChatOutput> {
    const target = await this.resolver.resolve(input.model, 'chat', options.signal);
    try {
      const output = await this.#provider(target).chat({ ...input, model: target.model }, options);
      return { ...output, model: target.id };
    } catch (error) {
      throw await this.resolver.explain(error, target, options.signal);
    }
  }

  async chatStream(input: RoutedChatInput, options: CallOptions): Promise<OpenStream> {
    const target = await this.resolver.resolve(input.model, 'chat', options.signal);
    try {
      const stream = await this.#provider(target).chatStream({ ...input, model: target.model }, options);
      const iterator = stream[Symbol.asyncIterator]();
      const first = await iterator.next();
      return { target, chunks: complete(first, iterator, target.id) };
    } catch (error) {
      throw await this.resolver.explain(error, target, options.signal);
    }
  }

  /** `onLength` is told how long the vectors are before all have been made, and may throw. */
  async embed(
    input: RoutedEmbedInput,
    options: CallOptions,
    onLength?: (length: number) => void,
  ): Promise<EmbedOutput> {
    const target = await this.resolver.resolve(input.model, 'embed', options.signal);
    try {
      const provider = this.#provider(target);
      const ask = (batch: string[]) => provider.embed({ ...input, input: batch, model: target.model }, options);
      return { ...(await embedInBatches(input.input, ask, onLength)), model: target.id };
    } catch (error) {
      throw await this.resolver.explain(error, target, options.signal);
    }
  }

  #provider({ plugin }: Target) {
    return this.services.use(llmProvider, { provider: plugin });
  }
}

/** The rest of a stream; one that ends without a finish reason was cut off, and that is never passed on as an end. */
async function* complete(
  first: IteratorResult<ChatChunk>,
  iterator: AsyncIterator<ChatChunk>,
  model: string,
): AsyncGenerator<ChatChunk> {
  let finished = false;
  let over = false;
  try {
    for (let step = first; !step.done; step = await iterator.next()) {
      finished ||= step.value.finishReason !== undefined;
      yield step.value;
    }
    over = true;
  } catch (error) {
    over = true;
    throw error;
  } finally {
    // The reader went away: the provider has to stop, too.
    if (!over) await iterator.return?.();
  }
  if (!finished) throw new AtollError('UPSTREAM_BAD_ANSWER', `The stream of "${model}" broke off before its end.`);
}
