import { AtollError } from '@atoll/plugin-sdk';
import type {
  ChatChunk,
  FinishReason,
  TokenLogprob,
  ToolCallDelta,
  Usage,
} from '@atoll/plugin-sdk/services/llm-provider';
import type { ErrorObject } from '../api/problem.js';
import {
  type CallItem,
  type ItemStatus,
  type MessageItem,
  newCall,
  newMessage,
  newReasoning,
  type OutputItem,
  type ReasoningItem,
  textPart,
  toTokens,
} from './items.js';
import { failed, finished, type ResponseObject } from './response.js';

/** An event of a streamed response. */
export interface ResponseEvent {
  type: string;
  sequence_number: number;
  [field: string]: unknown;
}

/**
 * Builds a response out of a provider's chunks and tells each step as an event. Items are opened when their first piece
 * comes and closed when another kind of piece follows; calls stay open until the end, since their pieces may be
 * interleaved.
 */
export class ResponseWriter {
  readonly #output: OutputItem[] = [];
  readonly #calls = new Map<number, CallItem>();
  #open: MessageItem | ReasoningItem | undefined;
  #events: ResponseEvent[] = [];
  #sequence = 0;
  #finish: FinishReason | undefined;
  #usage: Usage | undefined;

  constructor(readonly response: ResponseObject) {}

  begin(): ResponseEvent[] {
    this.#emit('response.created', { response: this.response });
    this.#emit('response.in_progress', { response: this.response });
    return this.#take();
  }

  add(chunk: ChatChunk): ResponseEvent[] {
    if (chunk.thinking) this.#addThinking(chunk.thinking);
    if (chunk.content) this.#addText(chunk.content, chunk.logprobs);
    if (chunk.refusal) this.#addRefusal(chunk.refusal);
    for (const delta of chunk.toolCalls ?? []) this.#addCall(delta);
    this.#finish = chunk.finishReason ?? this.#finish;
    this.#usage = chunk.usage ?? this.#usage;
    return this.#take();
  }

  /** The last events; the response they carry is the whole one. */
  end(): ResponseEvent[] {
    const reason = this.#finish ?? 'stop';
    const status = reason === 'length' || reason === 'content_filter' ? 'incomplete' : 'completed';
    // An answer without a word is still an answer.
    if (this.#output.length === 0) this.#addText('', undefined);
    this.#close(status);
    for (const call of this.#calls.values()) this.#closeCall(call, status);
    const response = finished(this.response, this.#output, reason, this.#usage);
    this.#emit(`response.${response.status}`, { response });
    return this.#take();
  }

  fail(error: ErrorObject): ResponseEvent[] {
    this.#emit('response.failed', { response: failed(this.response, this.#output, error) });
    this.#emit('error', { code: error.code, message: error.message, param: null });
    return this.#take();
  }

  #addThinking(text: string): void {
    const { item, index } = this.#item('reasoning', newReasoning);
    const place = { item_id: item.id, output_index: index, content_index: 0 };
    const part = item.content[0] ?? { type: 'reasoning_text', text: '' };
    if (item.content.length === 0) {
      this.#emit('response.content_part.added', { ...place, part: { ...part } });
      item.content.push(part);
    }
    part.text += text;
    this.#emit('response.reasoning_text.delta', { ...place, delta: text });
  }

  #addText(text: string, logprobs: TokenLogprob[] | undefined): void {
    const { item, index } = this.#item('message', newMessage);
    const place = { item_id: item.id, output_index: index, content_index: 0 };
    const part = item.content[0] ?? textPart();
    if (item.content.length === 0) {
      this.#emit('response.content_part.added', { ...place, part: { ...part } });
      item.content.push(part);
    }
    if (part.type !== 'output_text' || text === '') return;
    const tokens = toTokens(logprobs);
    part.text += text;
    part.logprobs.push(...tokens);
    this.#emit('response.output_text.delta', { ...place, delta: text, logprobs: tokens });
  }

  #addRefusal(text: string): void {
    const { item, index } = this.#item('message', newMessage);
    const found = item.content.findIndex(({ type }) => type === 'refusal');
    const at = found < 0 ? item.content.length : found;
    const place = { item_id: item.id, output_index: index, content_index: at };
    const part = item.content[at] ?? { type: 'refusal', refusal: '' };
    if (part.type !== 'refusal') return;
    if (found < 0) {
      this.#emit('response.content_part.added', { ...place, part: { ...part } });
      item.content.push(part);
    }
    part.refusal += text;
    this.#emit('response.refusal.delta', { ...place, delta: text });
  }

  #addCall({ index, id, name, arguments: text = '' }: ToolCallDelta): void {
    let call = this.#calls.get(index);
    if (!call) {
      if (!name) throw new AtollError('UPSTREAM_BAD_ANSWER', 'The provider sent a tool call without a name.');
      this.#close('completed');
      call = newCall(id ?? `call_${index}`, name);
      this.#calls.set(index, call);
      this.#output.push(call);
      this.#emit('response.output_item.added', { output_index: this.#output.length - 1, item: { ...call } });
    }
    if (text === '') return;
    call.arguments += text;
    const at = this.#output.indexOf(call);
    this.#emit('response.function_call_arguments.delta', { item_id: call.id, output_index: at, delta: text });
  }

  /** The open item of a kind; another one that is open is closed first. */
  #item<T extends MessageItem | ReasoningItem>(type: T['type'], create: () => T): { item: T; index: number } {
    if (this.#open?.type !== type) {
      this.#close('completed');
      this.#open = create();
      this.#output.push(this.#open);
      this.#emit('response.output_item.added', {
        output_index: this.#output.length - 1,
        item: { ...this.#open, content: [] },
      });
    }
    return { item: this.#open as T, index: this.#output.indexOf(this.#open!) };
  }

  #close(status: ItemStatus): void {
    const item = this.#open;
    this.#open = undefined;
    if (!item) return;
    item.status = status;
    const index = this.#output.indexOf(item);
    for (const [at, part] of item.content.entries()) {
      const place = { item_id: item.id, output_index: index, content_index: at };
      if (part.type === 'reasoning_text') this.#emit('response.reasoning_text.done', { ...place, text: part.text });
      else if (part.type === 'refusal') this.#emit('response.refusal.done', { ...place, refusal: part.refusal });
      else this.#emit('response.output_text.done', { ...place, text: part.text, logprobs: part.logprobs });
      this.#emit('response.content_part.done', { ...place, part });
    }
    this.#emit('response.output_item.done', { output_index: index, item });
  }

  #closeCall(call: CallItem, status: ItemStatus): void {
    call.status = status;
    if (call.arguments === '') call.arguments = '{}';
    const index = this.#output.indexOf(call);
    const { id, name, arguments: text } = call;
    this.#emit('response.function_call_arguments.done', { item_id: id, output_index: index, name, arguments: text });
    this.#emit('response.output_item.done', { output_index: index, item: call });
  }

  #emit(type: string, fields: object): void {
    this.#events.push({ type, sequence_number: this.#sequence++, ...fields });
  }

  #take(): ResponseEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
