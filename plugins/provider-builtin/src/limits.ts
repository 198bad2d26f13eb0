import { AtollError } from '@atoll/plugin-sdk';
import { type ChatInput, textOf } from '@atoll/plugin-sdk/services/llm-provider';

/** Of all that a chat carries: texts, calls, tools and schema. It is read several times, and all at once. */
const MOST_CHARACTERS = 200_000;
const MOST_TO_EMBED = 2_000_000;
/** More would not fit into one answer. */
const MOST_NUMBERS = 800_000;

export function assertReadable({ messages, tools = [], responseFormat, stop = [] }: ChatInput): void {
  let characters = stop.join('').length;
  for (const { content, toolCalls = [] } of messages) {
    characters += textOf(content).length + toolCalls.reduce((sum, call) => sum + call.arguments.length, 0);
    assertAtMost(characters, MOST_CHARACTERS);
  }
  for (const part of [...tools, responseFormat ?? {}]) {
    characters += JSON.stringify(part).length;
    assertAtMost(characters, MOST_CHARACTERS);
  }
}

export function assertEmbeddable(texts: readonly string[], dimensions: number): void {
  for (const { length } of texts) assertAtMost(length, MOST_CHARACTERS);
  assertAtMost(
    texts.reduce((sum, { length }) => sum + length, 0),
    MOST_TO_EMBED,
  );
  if (texts.length * dimensions <= MOST_NUMBERS) return;
  throw new AtollError(
    'BAD_REQUEST',
    `The built-in provider makes at most ${MOST_NUMBERS} numbers at once; embed fewer texts, or ask for fewer dimensions.`,
  );
}

function assertAtMost(characters: number, most: number): void {
  if (characters <= most) return;
  throw new AtollError('CONTEXT_TOO_LONG', `The built-in models read at most ${most} characters at once; send less.`);
}
