/**
 * Cuts text into tokens: words, digit groups and single signs, each with the white space before it. Joined they are the
 * text again, so that an answer can be streamed and cut token by token.
 */
export function tokenize(text: string): string[] {
  return text.match(/\s*(?:[\p{L}\p{M}_]+|\p{N}+|[^\s\p{L}\p{M}\p{N}_])|\s+/gu) ?? [];
}

export const countTokens = (text: string): number => tokenize(text).length;
