import { termsOf } from './words.js';

const K1 = 1.2;
const B = 0.75;

/** BM25 scores of the sentences for a query, in their order. */
export function bm25(sentences: readonly string[], query: string): number[] {
  const documents = sentences.map(termsOf);
  const average = documents.reduce((sum, terms) => sum + terms.length, 0) / Math.max(1, documents.length) || 1;
  const weights = inverseFrequencies(documents);
  const wanted = new Set(termsOf(query));
  return documents.map((terms) => {
    const counts = countTerms(terms);
    let score = 0;
    for (const term of wanted) {
      const count = counts.get(term) ?? 0;
      const length = 1 - B + (B * terms.length) / average;
      score += ((weights.get(term) ?? 0) * count * (K1 + 1)) / (count + K1 * length);
    }
    return score;
  });
}

/** How much a sentence is about what the whole text is about: for summaries, where there is no query. */
export function centrality(sentences: readonly string[]): number[] {
  const documents = sentences.map((sentence) => new Set(termsOf(sentence)));
  const counts = countTerms(documents.flatMap((terms) => [...terms]));
  return documents.map((terms) => {
    let sum = 0;
    for (const term of terms) sum += (counts.get(term) ?? 1) - 1;
    return sum / Math.sqrt(terms.size + 1);
  });
}

function countTerms(terms: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
  return counts;
}

function inverseFrequencies(documents: readonly (readonly string[])[]): Map<string, number> {
  const seen = countTerms(documents.flatMap((terms) => [...new Set(terms)]));
  const total = documents.length;
  return new Map([...seen].map(([term, count]) => [term, Math.log(1 + (total - count + 0.5) / (count + 0.5))]));
}
