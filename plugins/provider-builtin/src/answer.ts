import { type ChatMessage, textOf } from '@atoll/plugin-sdk/services/llm-provider';
import { bm25, centrality } from './rank.js';
import { sentencesOf } from './sentences.js';

const MOST_SENTENCES = 3;
/** Sentences this far below the best are left out. */
const RELATIVE_CUT = 0.4;

const SUMMARY = /\b(?:summar\w*|tl;?dr|gist|key points|main points|in short)\b/i;

/** What is asked, and the sentences an answer may quote. */
export interface Reading {
  query: string;
  sources: string[];
}

/** The last user message asks; everything else that was said or found by tools may be quoted. */
export function readMessages(messages: readonly ChatMessage[]): Reading {
  const last = messages.findLastIndex((message) => message.role === 'user');
  const asked = last < 0 ? [] : sentencesOf(textOf(messages[last]!.content));
  const question = questionAmong(asked);
  const others = messages
    .filter((message, index) => index !== last && message.role !== 'assistant')
    .flatMap((message) => sentencesOf(textOf(message.content)));
  const rest = asked.filter((_, index) => index !== question);
  return { query: asked[question] ?? '', sources: [...new Set([...others, ...rest])] };
}

/** The last sentence that asks; else an instruction that ends in a colon; else the last sentence. */
function questionAmong(sentences: readonly string[]): number {
  const asking = sentences.findLastIndex((sentence) => /[?？]["')\]]*$/.test(sentence));
  if (asking >= 0) return asking;
  const labelled = sentences.findIndex((sentence) => SUMMARY.test(sentence) || sentence.endsWith(':'));
  return labelled >= 0 ? labelled : sentences.length - 1;
}

/** Quotes the sentences that answer best, in the order in which they were given. Never invents anything. */
export function answer({ query, sources }: Reading): string {
  if (sources.length === 0) return `There is no text to quote an answer from. You said: ${query || '(nothing)'}`;
  const scores = SUMMARY.test(query) ? centrality(sources) : bm25(sources, query);
  const best = scores.reduce((most, score) => Math.max(most, score), 0);
  if (best <= 0) return `The given text has no sentence about this: ${query}`;
  const chosen = sources
    .map((sentence, index) => ({ sentence, index, score: scores[index]! }))
    .filter(({ score }) => score >= best * RELATIVE_CUT)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, MOST_SENTENCES)
    .sort((a, b) => a.index - b.index);
  return chosen.map(({ sentence }) => sentence).join(' ');
}
