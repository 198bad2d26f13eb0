import { stem, wordsOf } from './words.js';

export const DEFAULT_DIMENSIONS = 384;
export const MAX_DIMENSIONS = 4096;

/** Weights of the features: a shared word says more than a shared piece of one. */
const WORD = 1;
const WORD_PAIR = 0.7;
const CHARACTERS = 0.35;
const GRAM = 3;

/**
 * A deterministic lexical embedding: words, pairs of neighbouring words and three-letter pieces are hashed into the
 * vector, each with a sign of its own so that collisions cancel out on average; then the vector is brought to length 1.
 * Texts that share wording are near each other. Synonyms are not: nothing here was learned.
 */
export function embed(text: string, dimensions = DEFAULT_DIMENSIONS): number[] {
  const vector = new Array<number>(dimensions).fill(0);
  const words = wordsOf(text).map(stem);
  const counts = new Map<string, number>();
  const count = (feature: string, weight: number) => counts.set(feature, (counts.get(feature) ?? 0) + weight);
  words.forEach((word, index) => {
    count(`w:${word}`, WORD);
    if (index > 0) count(`p:${words[index - 1]} ${word}`, WORD_PAIR);
    const padded = `<${word}>`;
    for (let at = 0; at + GRAM <= padded.length; at++) count(`c:${padded.slice(at, at + GRAM)}`, CHARACTERS);
  });
  // Text without any word still needs a direction: vectors of length 0 cannot be compared.
  if (counts.size === 0) count(`t:${text}`, WORD);
  for (const [feature, weight] of counts) {
    const hash = fnv1a(feature);
    // The damping keeps a word that is repeated a hundred times from drowning the others.
    vector[hash % dimensions]! += Math.sqrt(weight) * ((hash & 0x80000000) === 0 ? 1 : -1);
  }
  return normalize(vector);
}

function normalize(vector: number[]): number[] {
  const length = Math.hypot(...vector);
  if (length > 0) return vector.map((value) => value / length);
  // All features cancelled each other out; any fixed direction will do.
  return vector.map((_, index) => (index === 0 ? 1 : 0));
}

/** 32-bit FNV-1a over UTF-16 units, with a last mix so that the low bits and the sign bit are independent. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
