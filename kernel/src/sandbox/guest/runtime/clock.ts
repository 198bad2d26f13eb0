import { handle } from './inbound.js';

/**
 * A clock that only moves when it is told to, for plugins under test: `Date`, `performance.now` and timers follow it. Deadlines
 * belong to the kernel and stay real.
 */
export class ManualClock {
  readonly #due = new Map<number, number>();

  constructor(
    public now: number,
    private readonly fire: (id: number) => void,
  ) {}

  set(id: number, ms: number): void {
    this.#due.set(id, this.now + ms);
  }

  clear(id: number): void {
    this.#due.delete(id);
  }

  /** Moves on, firing what becomes due in order; code behind each timer runs before the next one fires. */
  async advance(ms: number): Promise<void> {
    const until = this.now + ms;
    for (let next = this.#next(until); next; next = this.#next(until)) {
      const [id, at] = next;
      this.#due.delete(id);
      this.now = Math.max(this.now, at);
      this.fire(id);
      for (let turn = 0; turn < 20; turn++) await null;
    }
    this.now = until;
  }

  /** To another time, as after a sleep: what became due meanwhile fires once. */
  async jump(to: number): Promise<void> {
    this.now = Math.max(this.now, to);
    await this.advance(0);
  }

  #next(until: number): [number, number] | undefined {
    return [...this.#due].filter(([, at]) => at <= until).sort((a, b) => a[1] - b[1] || a[0] - b[0])[0];
  }
}

/** Answers the kernel's `clock`: `now` (epoch ms) starts a manual clock, `advance` (ms) moves it, `jump` (epoch ms) sets it. */
export function installClock(fire: (id: number) => void, use: (clock: ManualClock) => void): void {
  let clock: ManualClock | undefined;
  handle('clock', async (call) => {
    const { now, advance, jump } = call.meta as unknown as { now?: number; advance?: number; jump?: number };
    if (now !== undefined) {
      clock = new ManualClock(now, fire);
      use(clock);
      replaceDate(clock);
    }
    if (jump !== undefined) await clock?.jump(jump);
    if (advance !== undefined) await clock?.advance(advance);
    return {};
  });
}

function replaceDate(clock: ManualClock): void {
  const RealDate = Date;
  const FakeDate = function FakeDate(this: unknown, ...args: unknown[]) {
    if (!new.target) return new RealDate(clock.now).toString();
    const real = args.length === 0 ? [clock.now] : args;
    return Reflect.construct(RealDate, real, new.target === FakeDate ? RealDate : new.target) as Date;
  };
  Object.defineProperties(
    FakeDate,
    Object.getOwnPropertyDescriptors({ now: () => clock.now, parse: RealDate.parse, UTC: RealDate.UTC }),
  );
  FakeDate.prototype = RealDate.prototype;
  Object.defineProperty(globalThis, 'Date', { value: FakeDate, writable: true, configurable: true, enumerable: false });
}
