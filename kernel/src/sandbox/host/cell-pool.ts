import { AtollError } from '@atoll/plugin-sdk/contract';
import { type CellHandlers, CellProcess } from './cell-process.js';

export interface CellPoolOptions extends CellHandlers {
  /** Cells in regular use at most; beyond it, groups share. */
  maxCells: number;
  /** Warm cells kept ready. */
  spares: number;
}

/** Groups that must not share a cell with others, whatever the limit: `solo:` plus the plugin's id. */
export const SOLO_PREFIX = 'solo:';

const BACKOFF_MS = 200;
const BACKOFF_MAX_MS = 30_000;

interface Resident {
  cell: CellProcess;
  groups: Set<string>;
  /** Isolates that were given this cell and not released yet. */
  users: number;
}

/** Which group lives in which cell, and the warm spares. */
export class CellPool {
  #residents: Resident[] = [];
  #spares: CellProcess[] = [];
  readonly #all = new Set<CellProcess>();
  #closed = false;
  /** Cells in a row that ended before they were ready. */
  #stillborn = 0;
  #pause: NodeJS.Timeout | undefined;

  constructor(private readonly options: CellPoolOptions) {
    this.#refill();
  }

  /** All live cells, spares included. */
  get cells(): readonly CellProcess[] {
    return [...this.#all];
  }

  /** A ready cell for an isolate of this group. Each acquire needs one release, unless the cell is retired. */
  async acquire(group: string): Promise<CellProcess> {
    if (this.#closed) throw new AtollError('SHUTTING_DOWN');
    const resident = this.#find(group) ?? this.#settle(group);
    resident.users++;
    try {
      await resident.cell.ready();
      return resident.cell;
    } catch (error) {
      this.release(resident.cell);
      throw error;
    }
  }

  /** An isolate left the cell; one that nobody uses ends. */
  release(cell: CellProcess): void {
    const resident = this.#residents.find((one) => one.cell === cell);
    if (!resident) return;
    resident.users--;
    if (resident.users > 0) return;
    this.retire(cell);
    cell.kill();
  }

  /** The cell takes no one any more. */
  retire(cell: CellProcess): void {
    this.#residents = this.#residents.filter((one) => one.cell !== cell);
    this.#spares = this.#spares.filter((spare) => spare !== cell);
    if (!this.#closed) this.#refill();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#pause);
    const gone = [...this.#all].map((cell) => cell.gone());
    for (const cell of this.#all) cell.kill();
    await Promise.all(gone);
  }

  #find(group: string): Resident | undefined {
    return this.#residents.find((resident) => resident.groups.has(group));
  }

  /** Gives the group a cell of its own, or, at the limit, a place in the one with the fewest isolates. */
  #settle(group: string): Resident {
    const shared = this.#residents.filter(
      (resident) => ![...resident.groups].some((one) => one.startsWith(SOLO_PREFIX)),
    );
    if (shared.length >= this.options.maxCells && !group.startsWith(SOLO_PREFIX)) {
      const emptiest = shared.reduce((least, one) => (one.users < least.users ? one : least));
      emptiest.groups.add(group);
      return emptiest;
    }
    const resident: Resident = { cell: this.#spares.shift() ?? this.#spawn(), groups: new Set([group]), users: 0 };
    this.#residents.push(resident);
    this.#refill();
    return resident;
  }

  #spawn(): CellProcess {
    const cell = new CellProcess({
      ...this.options,
      onExit: (gone, how) => {
        this.#all.delete(gone);
        if (!gone.wasReady && !this.#closed) this.#backOff();
        this.options.onExit(gone, how);
      },
    });
    this.#all.add(cell);
    cell.ready().then(
      () => (this.#stillborn = 0),
      () => {},
    );
    return cell;
  }

  /** On a machine where cells can't start, spares must not be tried over and over. */
  #backOff(): void {
    const delay = Math.min(BACKOFF_MS * 2 ** this.#stillborn++, BACKOFF_MAX_MS);
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#refill();
    }, delay);
  }

  #refill(): void {
    if (this.#pause) return;
    while (!this.#closed && this.#spares.length < this.options.spares) this.#spares.push(this.#spawn());
  }
}
