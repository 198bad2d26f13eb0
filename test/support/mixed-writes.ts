import type { TestKernel } from './kernel.js';

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** The one that was acknowledged last, and those after it that may have happened. */
class Latest<T> {
  possible: T[];

  constructor(first: T) {
    this.possible = [first];
  }

  trying(value: T): void {
    this.possible.push(value);
  }

  done(value: T): void {
    this.possible = [value];
  }
}

/** Writes of every kind, all at once and over and over until the kernel is gone; remembers what was acknowledged. */
export class MixedWrites {
  readonly docs = new Set<string>();
  readonly pairs = new Set<number>();
  readonly blobs = new Set<string>();
  readonly jobs = new Set<string>();
  readonly keys = new Map<string, string>();
  readonly revoked = new Map<string, string>();
  /** Ids of keys whose end was asked for, but not acknowledged. */
  readonly doubtful = new Set<string>();
  readonly enabled = new Latest(true);
  readonly tone = new Latest(0);
  /** How often a plugin was switched or configured, by the action that the audit trail names. */
  readonly switches = { 'plugins.enable': 0, 'plugins.disable': 0, 'plugins.configure': 0 };
  acknowledged = 0;
  #n = 0;

  /** Whether something of every kind was acknowledged. */
  get ofEveryKind(): boolean {
    const { docs, pairs, blobs, jobs, keys, revoked } = this;
    const switched = Object.values(this.switches).some((times) => times > 0);
    return switched && [docs, pairs, blobs, jobs, keys, revoked].every(({ size }) => size > 0);
  }

  /** Resolves when no write is on its way any more. Rejects when one was answered with an error. */
  async until(kernel: TestKernel, gone: AbortSignal): Promise<void> {
    const writers = [
      this.#doc, this.#doc, this.#pair, this.#blob, this.#job, this.#job, this.#key, this.#switch,
    ]; // biome-ignore format: a list
    const loop = async (write: (kernel: TestKernel) => Promise<void>) => {
      while (!gone.aborted) {
        try {
          await write.call(this, kernel);
          this.acknowledged++;
        } catch (error) {
          // Not answered at all: it may have happened or not.
          if (gone.aborted || !(error instanceof Refused)) return;
          throw error;
        }
      }
    };
    await Promise.all(writers.map(loop));
  }

  async #doc(kernel: TestKernel): Promise<void> {
    const { body } = await send(kernel, 'POST', '/x/ledger/docs', { n: ++this.#n });
    this.docs.add(String(body.id));
  }

  async #pair(kernel: TestKernel): Promise<void> {
    const n = ++this.#n;
    await send(kernel, 'POST', '/x/ledger/pairs', { n });
    this.pairs.add(n);
  }

  async #blob(kernel: TestKernel): Promise<void> {
    const { body } = await send(kernel, 'POST', '/x/ledger/blobs', { n: ++this.#n });
    this.blobs.add(String(body.sha256));
  }

  async #job(kernel: TestKernel): Promise<void> {
    const { body } = await send(kernel, 'POST', '/x/ledger/jobs', { n: ++this.#n });
    this.jobs.add(String(body.id));
  }

  /** Every other one is revoked at once. */
  async #key(kernel: TestKernel): Promise<void> {
    const { body } = await send(kernel, 'POST', '/api/v1/api-keys', {
      name: `key ${++this.#n}`,
      scopes: ['plugins.read'],
    });
    const [id, key] = [String(body.id), String(body.key)];
    this.keys.set(id, key);
    if (this.#n % 2 === 0) return;
    this.doubtful.add(id);
    await send(kernel, 'DELETE', `/api/v1/api-keys/${id}`);
    this.doubtful.delete(id);
    this.keys.delete(id);
    this.revoked.set(id, key);
  }

  async #switch(kernel: TestKernel): Promise<void> {
    const enabled = !this.enabled.possible[0];
    this.enabled.trying(enabled);
    await send(kernel, 'POST', `/api/v1/plugins/switched/${enabled ? 'enable' : 'disable'}`, {});
    this.enabled.done(enabled);
    this.switches[enabled ? 'plugins.enable' : 'plugins.disable']++;
    const tone = ++this.#n;
    this.tone.trying(tone);
    await send(kernel, 'PUT', '/api/v1/plugins/switched/config', { tone });
    this.tone.done(tone);
    this.switches['plugins.configure']++;
  }
}

/** An answer, but not the one that was wanted. */
export class Refused extends Error {}

export async function send(kernel: TestKernel, method: string, target: string, body?: object): Promise<Answer> {
  const init = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await kernel.call(target, { method, ...init });
  const text = await response.text();
  if (!response.ok) throw new Refused(`${method} ${target}: ${response.status} ${text}`);
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answer['body'] };
}
