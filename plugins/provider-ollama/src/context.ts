import { AtollError } from '@atoll/plugin-sdk';
import { type ChatInput, textOf } from '@atoll/plugin-sdk/services/llm-provider';

/** Ollama takes no less for any model by itself; a Modelfile or the configuration may say less. */
export const LEAST_CONTEXT = 2_048;

/** Longest run of letters that vocabularies have as one token. */
const LONGEST_TOKEN = 32;
/** The same for scripts that put no spaces between words. */
const LONGEST_TOKEN_UNSPACED = 4;

/** What a template puts around a message, and around all of them. */
const AROUND_MESSAGE = 32;
const AROUND_PROMPT = 256;
/** An image, or some seconds of sound. */
const MEDIA_TOKENS = 2_048;

/** What a prompt can be in tokens, whatever the tokenizer. */
export interface PromptSize {
  /** No tokenizer makes more: each byte is a token of its own. */
  most: number;
  /** No tokenizer makes fewer: each word is one at least. */
  least: number;
}

/** `system` is the model's own first message, which it gets when the request has none. */
export function sizeOf({ messages, tools = [] }: ChatInput, system = ''): PromptSize {
  const size = { most: AROUND_PROMPT + bytesOf(system), least: 0 };
  const count = (text: string) => {
    size.most += bytesOf(text);
    size.least += leastTokensOf(text);
  };
  for (const { content, toolCalls = [], thinking = '' } of messages) {
    count(textOf(content));
    for (const call of toolCalls) count(`${call.name} ${call.arguments}`);
    const media = typeof content === 'string' ? [] : content.filter(({ type }) => type !== 'text');
    // Templates leave the reasoning of earlier turns out.
    size.most += AROUND_MESSAGE + media.length * MEDIA_TOKENS + bytesOf(thinking);
  }
  // Templates write schemas in their own way, but descriptions as they are.
  for (const { description = '' } of tools) size.least += leastTokensOf(description);
  if (tools.length > 0) size.most += bytesOf(JSON.stringify(tools));
  return size;
}

function bytesOf(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // Of a surrogate pair, each half stands for two of four bytes.
    if (unit >= 0x80) bytes += unit >= 0x800 && (unit & 0xf800) !== 0xd800 ? 2 : 1;
  }
  return bytes;
}

const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]/gu;

function leastTokensOf(text: string): number {
  let words = 0;
  let letters = 0;
  for (const [word] of text.matchAll(/[\p{L}\p{N}]+/gu)) {
    words++;
    letters += word.length;
  }
  const unspaced = text.match(UNSPACED)?.length ?? 0;
  return Math.max(words, Math.ceil(letters / LONGEST_TOKEN), Math.ceil(unspaced / LONGEST_TOKEN_UNSPACED));
}

/**
 * Before the request: a prompt that cannot fit, whatever the tokenizer, is refused without loading the model for it.
 */
export function assertFits({ least }: PromptSize, context: number | undefined, model: string): void {
  if (context === undefined || least <= context) return;
  throw tooLong(model, context, `the prompt has at least ${least}`);
}

/**
 * After the answer: servers that do not know `truncate: false` cut the prompt without a word. A prompt that fills the
 * context to the brim was cut, and so was one that could not fit at all, or of which fewer tokens arrived than it has.
 */
export function assertNotCut(size: PromptSize, promptTokens: number, context: number | undefined, model: string): void {
  if (context === undefined || size.most <= context) return;
  if (promptTokens >= context) throw tooLong(model, context, `the prompt filled all of it (${promptTokens})`);
  assertFits(size, context, model);
  // Whole messages may have been left out. A server that counts nothing says nothing.
  if (promptTokens > 0 && promptTokens < size.least)
    throw tooLong(model, context, `only ${promptTokens} of at least ${size.least} arrived`);
}

function tooLong(model: string, context: number, why: string): AtollError {
  return new AtollError(
    'CONTEXT_TOO_LONG',
    `The model "${model}" has a context of ${context} tokens; ${why}, so a part of it would be lost. ` +
      'Send less, or raise options.num_ctx of provider-ollama.',
    { contextLength: context },
  );
}
