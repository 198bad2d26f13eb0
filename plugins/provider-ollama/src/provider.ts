import type { Log, ServiceCall } from '@atoll/plugin-sdk';
import {
  type ChatChunk,
  type ChatInput,
  countOf,
  type EmbedInput,
  type EmbedOutput,
  serverUrl,
} from '@atoll/plugin-sdk/services/llm-provider';
import type { ChatRequest, EmbedRequest } from 'ollama/browser';
import { AnswerReader, collect, type NativeAnswer } from './answer.js';
import { type Config, settingsOf } from './config.js';
import { ask, exchange } from './connection.js';
import { assertFits, assertNotCut, sizeOf } from './context.js';
import { badAnswer, reportedError, wordsOf } from './errors.js';
import { listModels } from './list.js';
import { ModelFactsCache, thinkOf } from './model-facts.js';
import { type NativeRequest, toNative } from './request.js';

/**
 * `llm-provider` over the native API of an Ollama server. Its own `/v1` cannot set options and loses errors in
 * mid-stream.
 */
export class OllamaProvider {
  readonly #facts: ModelFactsCache;

  constructor(
    private readonly config: Config,
    log: Log,
  ) {
    serverUrl(config.host, 'host');
    this.#facts = new ModelFactsCache(config, log);
  }

  models({ signal }: ServiceCall) {
    return listModels(this.config.host, signal);
  }

  async chat(input: ChatInput, { signal }: ServiceCall) {
    const { request, finish } = await this.#prepare(input, signal);
    const answer = await ask(this.config.host, signal, async (client): Promise<NativeAnswer> => {
      return client.chat({ ...(request as ChatRequest), stream: false });
    });
    if (typeof answer !== 'object' || answer === null)
      throw badAnswer('answered with something that is not an object.');
    const reader = new AnswerReader(input);
    const output = collect(input.model, reader.read(answer));
    await finish(reader.promptTokens);
    return output;
  }

  async *chatStream(input: ChatInput, { signal }: ServiceCall): AsyncGenerator<ChatChunk> {
    const { request, finish } = await this.#prepare(input, signal);
    const reader = new AnswerReader(input);
    const answers = exchange(this.config.host, signal, async function* (client) {
      const stream = await client.chat({ ...(request as ChatRequest), stream: true });
      for await (const part of stream) yield part as NativeAnswer;
    });
    for await (const answer of answers) {
      const chunks = reader.read(answer);
      if (answer.done) await finish(reader.promptTokens);
      yield* chunks;
    }
  }

  async embed({ model, input, dimensions }: EmbedInput, { signal }: ServiceCall): Promise<EmbedOutput> {
    const { options, keepAlive } = settingsOf(this.config, model);
    const request: EmbedRequest = {
      model,
      input,
      truncate: false,
      options,
      ...(keepAlive !== undefined && { keep_alive: keepAlive }),
      ...(dimensions !== undefined && { dimensions }),
    };
    const answer = await ask(this.config.host, signal, (client) => client.embed(request));
    const { embeddings, prompt_eval_count, error } = (answer ?? {}) as Partial<typeof answer> & { error?: unknown };
    if (error) throw reportedError(wordsOf(error), 200);
    if (!Array.isArray(embeddings) || embeddings.length !== input.length) {
      throw badAnswer(
        `answered ${input.length} texts with ${Array.isArray(embeddings) ? embeddings.length : 'no'} embeddings.`,
      );
    }
    return { model, embeddings, usage: { promptTokens: countOf(prompt_eval_count) ?? 0 } };
  }

  /** The request to send, and the check of what came back. */
  async #prepare(
    input: ChatInput,
    signal: AbortSignal,
  ): Promise<{ request: NativeRequest; finish: (promptTokens: number) => Promise<void> }> {
    const facts = await this.#facts.of(input.model, signal);
    const request = toNative(input, this.config, thinkOf(input.think, facts, input.model));
    const size = sizeOf(input, facts.system);
    if (size.most <= this.#facts.leastContextOf(input.model, facts)) return { request, finish: async () => {} };
    assertFits(size, await this.#facts.contextOf(input.model, facts, signal), input.model);
    const finish = async (promptTokens: number) => {
      // Now the model is loaded, so its real context can be asked for.
      assertNotCut(size, promptTokens, await this.#facts.contextOf(input.model, facts, signal), input.model);
    };
    return { request, finish };
  }
}
