import type { PluginLogLine } from './types.js';

const RANK: Record<PluginLogLine['level'], number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** The latest log lines of a plugin. */
export class LogRing {
  readonly #lines: PluginLogLine[] = [];

  constructor(private readonly limit: number) {}

  add(line: PluginLogLine): void {
    this.#lines.push(line);
    if (this.#lines.length > this.limit) this.#lines.shift();
  }

  /** Oldest first; the last `limit` lines of at least this level. */
  read({ limit = 100, level = 'debug' }: { limit?: number; level?: PluginLogLine['level'] } = {}): PluginLogLine[] {
    return this.#lines.filter((line) => RANK[line.level] >= RANK[level]).slice(-limit);
  }
}
