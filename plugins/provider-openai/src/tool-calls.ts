import { listOf, stringOf, type ToolCall, type ToolCallDelta } from '@atoll/plugin-sdk/services/llm-provider';
import { badAnswer } from './errors.js';

interface RawCall {
  index?: unknown;
  id?: unknown;
  function?: { name?: unknown; arguments?: unknown } | null;
}

interface Piece {
  index: number | undefined;
  id: string | undefined;
  name: string | undefined;
  text: string;
}

interface OpenCall {
  /** Its place among the calls. */
  at: number;
  /** What the server calls it, if it does. */
  index: number | undefined;
  id: string | undefined;
  name: string | undefined;
  /** Arguments that came before the name. */
  waiting: string;
}

/**
 * Puts the pieces of streamed tool calls together. Servers leave out the index, repeat one for several calls, leave out
 * the id, send the name late or with each piece; what goes on from here has one index a call, and id and name with its
 * first piece.
 */
export class ToolCallReader {
  readonly #calls: OpenCall[] = [];

  read(pieces: unknown): ToolCallDelta[] {
    return listOf(pieces).flatMap((piece) => this.#add(toPiece(piece)));
  }

  /** At the end of the answer. */
  assertNamed(): void {
    if (this.#calls.some(({ name }) => name === undefined)) throw badAnswer('sent a tool call without a name.');
  }

  #add(piece: Piece): ToolCallDelta[] {
    const call = this.#openFor(piece) ?? this.#begin(piece);
    if (call.name !== undefined) return piece.text === '' ? [] : [{ index: call.at, arguments: piece.text }];
    call.id ??= piece.id;
    call.waiting += piece.text;
    if (piece.name === undefined) return [];
    call.name = piece.name;
    call.id ??= newCallId();
    return [{ index: call.at, id: call.id, name: call.name, ...(call.waiting !== '' && { arguments: call.waiting }) }];
  }

  #begin({ index, id }: Piece): OpenCall {
    const call = { at: this.#calls.length, index, id, name: undefined, waiting: '' };
    this.#calls.push(call);
    return call;
  }

  /** The call that a piece belongs to; undefined when it begins another. */
  #openFor({ index, id, name }: Piece): OpenCall | undefined {
    if (index === undefined && id !== undefined) return this.#calls.find((call) => call.id === id);
    const call =
      index === undefined ? this.#calls.at(-1) : this.#calls.findLast((other) => (other.index ?? other.at) === index);
    if (!call?.name || name === undefined) return call;
    // A name for a call that has one: the same call again, or the next under the same index.
    const other = id === undefined ? index === undefined || name !== call.name : id !== call.id;
    return other ? undefined : call;
  }
}

/** The calls of a whole answer. */
export function toCalls(calls: unknown): ToolCall[] {
  return listOf(calls).map((raw) => {
    const { id, name, text } = toPiece(raw);
    if (name === undefined) throw badAnswer('sent a tool call without a name.');
    return { id: id ?? newCallId(), name, arguments: text === '' ? '{}' : text };
  });
}

function toPiece(raw: unknown): Piece {
  const { index, id, function: called } = (raw ?? {}) as RawCall;
  const { name, arguments: given } = called ?? {};
  return {
    index: Number.isInteger(index) ? (index as number) : undefined,
    id: stringOf(id) || undefined,
    name: stringOf(name) || undefined,
    // Some send the object itself.
    text: stringOf(given) ?? (typeof given === 'object' && given !== null ? JSON.stringify(given) : ''),
  };
}

const newCallId = (): string => `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`;
