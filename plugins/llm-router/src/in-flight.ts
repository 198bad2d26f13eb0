import { AtollError } from '@atoll/plugin-sdk';

/** What a parsed value costs beside its text, in bytes of text that take as much memory. */
const PER_VALUE = 32;
/** As many small requests as there can be at once have room, so a few large ones of somebody else never keep them out. */
const SMALL = 65_536;
/** Each byte is in memory some eight times at worst: as it came, as text of two bytes a sign, parsed, and written again. */
const BUDGET = 33_554_432;

/**
 * The size of all large requests that are being answered. They are copied on their way to a provider, and memory is
 * limited: beyond the budget a request is refused at once instead of ending everybody's.
 */
export class InFlight {
  #size = 0;

  /** Counts so many bytes until the returned function is called. */
  takeBytes(bytes: number): () => void {
    if (bytes <= SMALL) return () => {};
    if (this.#size + bytes > BUDGET) {
      throw new AtollError(
        'OVERLOADED',
        'Too many large requests are being answered; send this one again in a moment.',
        {
          retryAfter: 1,
        },
      );
    }
    this.#size += bytes;
    let held = true;
    return () => {
      if (held) this.#size -= bytes;
      held = false;
    };
  }

  takeValues(values: number): () => void {
    return this.takeBytes(values * PER_VALUE);
  }

  /** The same for a value that has already been parsed. */
  takeValue(value: unknown): () => void {
    return this.takeBytes(sizeOf(value));
  }
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return PER_VALUE + value.length;
  if (typeof value !== 'object' || value === null) return PER_VALUE;
  return Object.values(value).reduce<number>((sum, member) => sum + sizeOf(member), PER_VALUE);
}
