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

/** Cells beyond `maxCells` for versions that are tried beside running ones. */
const EXTRA_CELLS = 2;
/** How long a cell that a swap emptied is kept for the next one, in ms. */
const IDLE_MS = 5_000;
const BACKOFF_MS = 200;
const BACKOFF_MAX_MS = 30_000;

interface Resident {
  cell: CellProcess;
  groups: Set<string>;
  /** Isolates that were given this cell and not released yet. */
  users: number;
  /** Runs while nobody uses it. */
  idle?: NodeJS.Timeout;
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

  /**
   * A ready cell for an isolate of this group; `apart` from all others of it, as far as the limit allows. Each acquire needs one
   * release, unless the cell is retired.
   */
  async acquire(group: string, apart = false): Promise<CellProcess> {
    if (this.#closed) throw new AtollError('SHUTTING_DOWN');
    const resident = this.#find(group, apart) ?? this.#settle(group, apart);
    resident.users++;
    clearTimeout(resident.idle);
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
    const [alike, used] = [this.#alike(resident), (one: Resident) => one.users > 0];
    if (alike.some(used)) resident.idle = setTimeout(() => this.#end(resident), IDLE_MS).unref();
    else for (const one of [resident, ...alike]) this.#end(one);
  }

  #end({ cell }: Resident): void {
    this.retire(cell);
    cell.kill();
  }

  /** The other cells of its groups. */
  #alike(resident: Resident): Resident[] {
    return this.#residents.filter(
      (one) => one !== resident && [...one.groups].some((group) => resident.groups.has(group)),
    );
  }

  /** The cell takes no one any more. */
  retire(cell: CellProcess): void {
    clearTimeout(this.#residents.find((one) => one.cell === cell)?.idle);
    this.#residents = this.#residents.filter((one) => one.cell !== cell);
    this.#spares = this.#spares.filter((spare) => spare !== cell);
    if (!this.#closed) this.#refill();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#pause);
    for (const { idle } of this.#residents) clearTimeout(idle);
    const gone = [...this.#all].map((cell) => cell.gone());
    for (const cell of this.#all) cell.kill();
    await Promise.all(gone);
  }

  #find(group: string, apart: boolean): Resident | undefined {
    const own = this.#residents.filter((resident) => resident.groups.has(group));
    return own.find(({ users }) => users === 0 || !apart);
  }

  /** Gives the group a cell of its own, or, at the limit, a place in the one with the fewest isolates. */
  #settle(group: string, apart: boolean): Resident {
    const shared = this.#residents.filter(
      (resident) => ![...resident.groups].some((one) => one.startsWith(SOLO_PREFIX)),
    );
    if (shared.length >= this.options.maxCells + (apart ? EXTRA_CELLS : 0) && !group.startsWith(SOLO_PREFIX)) {
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
