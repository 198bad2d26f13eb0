import { AtollError } from '@atoll/plugin-sdk';
import { type ChatInput, textOf } from '@atoll/plugin-sdk/services/llm-provider';

/** Below this no context that Ollama uses is too short, so nothing needs to be asked or counted. */
const ALWAYS_FITS_CHARACTERS = 4_000;

/** Longest run of letters that vocabularies have as one token. */
const LONGEST_TOKEN = 32;

export interface PromptSize {
  characters: number;
  /** No tokenizer makes fewer tokens of it: each word is one at least. */
  leastTokens: number;
}

export function sizeOf({ messages, tools = [] }: ChatInput): PromptSize {
  let characters = 0;
  let leastTokens = 0;
  for (const { content } of messages) {
    const text = textOf(content);
    characters += text.length;
    leastTokens += leastTokensOf(text);
  }
  return { characters: characters + (tools.length > 0 ? JSON.stringify(tools).length : 0), leastTokens };
}

export const needsCheck = ({ characters }: PromptSize): boolean => characters > ALWAYS_FITS_CHARACTERS;

function leastTokensOf(text: string): number {
  let words = 0;
  let letters = 0;
  for (const [word] of text.matchAll(/[\p{L}\p{N}]+/gu)) {
    words++;
    letters += word.length;
  }
  return Math.max(words, Math.ceil(letters / LONGEST_TOKEN));
}

/**
 * Before the request: a prompt that cannot fit, whatever the tokenizer, is refused without loading the model for it.
 */
export function assertFits(size: PromptSize, context: number | undefined, model: string): void {
  if (context === undefined || size.leastTokens <= context) return;
  throw tooLong(model, context, `the prompt has at least ${size.leastTokens}`);
}

/**
 * After the answer: servers that do not know `truncate: false` cut the prompt without a word. A prompt that fills the
 * context to the brim was cut, and so was one that could not fit at all.
 */
export function assertNotCut(size: PromptSize, promptTokens: number, context: number | undefined, model: string): void {
  if (context === undefined) return;
  if (promptTokens >= context) throw tooLong(model, context, `the prompt filled all of it (${promptTokens})`);
  assertFits(size, context, model);
}

function tooLong(model: string, context: number, why: string): AtollError {
  return new AtollError(
    'CONTEXT_TOO_LONG',
    `The model "${model}" has a context of ${context} tokens; ${why}, so a part of it would be lost. ` +
      'Send less, or raise options.num_ctx of provider-ollama.',
    { contextLength: context },
  );
}
