import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface DesiredState {
  desired: 'enabled' | 'disabled';
  /** Values the operator set through the API, over those of the configuration files. */
  config?: Record<string, unknown>;
}

/** Where the operator's wishes are kept. A database takes this place where several kernels share one. */
export interface DesiredStateStore {
  load(): Promise<Map<string, DesiredState>>;
  save(states: ReadonlyMap<string, DesiredState>): Promise<void>;
}

/** In one JSON file of the data directory, replaced as a whole so that a crash leaves the old or the new one. */
export class FileStateStore implements DesiredStateStore {
  #writing: Promise<void> = Promise.resolve();

  constructor(private readonly file: string) {}

  async load(): Promise<Map<string, DesiredState>> {
    const text = await readFile(this.file, 'utf8').catch(() => '{}');
    return new Map(Object.entries(JSON.parse(text) as Record<string, DesiredState>));
  }

  save(states: ReadonlyMap<string, DesiredState>): Promise<void> {
    const text = JSON.stringify(Object.fromEntries(states), null, 2);
    this.#writing = this.#writing.then(() => this.#write(text));
    return this.#writing;
  }

  async #write(text: string): Promise<void> {
    await mkdir(path.dirname(this.file), { recursive: true });
    const draft = `${this.file}.new`;
    await writeFile(draft, text, { mode: 0o600 });
    await rename(draft, this.file);
  }
}

export class MemoryStateStore implements DesiredStateStore {
  readonly #states = new Map<string, DesiredState>();

  async load(): Promise<Map<string, DesiredState>> {
    return new Map(this.#states);
  }

  async save(states: ReadonlyMap<string, DesiredState>): Promise<void> {
    this.#states.clear();
    for (const [id, state] of states) this.#states.set(id, state);
  }
}
