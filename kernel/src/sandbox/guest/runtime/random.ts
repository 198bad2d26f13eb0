import { handle } from './inbound.js';

/** So many random bytes as hex, as the cell gives them. */
export type RandomHex = (size: number) => string;

/** The same numbers for the same seed; of no use where somebody might guess. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  // Mulberry32.
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Answers the kernel's `random`: from then on `Math.random` and `crypto.getRandomValues` follow the seed. */
export function installRandom(use: (random: RandomHex) => void): void {
  handle('random', (call) => {
    const { seed } = call.meta as unknown as { seed: number };
    const next = generator(seed);
    Math.random = next;
    use((size) => {
      let hex = '';
      for (let at = 0; at < size; at++)
        hex += Math.floor(next() * 256)
          .toString(16)
          .padStart(2, '0');
      return hex;
    });
    return {};
  });
}
