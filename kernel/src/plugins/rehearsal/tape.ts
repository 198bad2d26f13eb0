import { isSame } from './diff.js';
import type { HostAnswer, HostCall, HostInput } from './recorded-call.js';

/** Answers the host calls of one replayed call from what was recorded for it; each answer is given once. */
export class Tape {
  readonly #left: HostCall[];
  /** What was called, in order, with what it was answered. */
  readonly made: HostCall[] = [];
  /** Of these, those that were not recorded. */
  readonly added: HostCall[] = [];

  constructor(
    recorded: readonly HostCall[],
    private readonly options: {
      /** Answers a call with other input than was recorded, too, when it comes in the place of one. */
      lenient: boolean;
      refusal: (method: string) => HostAnswer;
    },
  ) {
    this.#left = [...recorded];
  }

  /** What was recorded and never called. */
  get missing(): readonly HostCall[] {
    return this.#left;
  }

  take(method: string, input: HostInput): HostAnswer {
    const exact = this.#left.findIndex((one) => one.method === method && isSame(one.input, input));
    const at = exact < 0 && this.options.lenient ? this.#left.findIndex((one) => one.method === method) : exact;
    const [found] = at < 0 ? [] : this.#left.splice(at, 1);
    const call = { method, input, answer: found?.answer ?? this.options.refusal(method) };
    this.made.push(call);
    if (!found || exact < 0) this.added.push(call);
    return call.answer;
  }
}
