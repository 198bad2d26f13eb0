import { AtollError } from '@atoll/plugin-sdk/contract';
import type { DependencyContainer } from 'tsyringe';

/** Something that has to be undone. */
export type Undo = (() => unknown) | Disposable | AsyncDisposable;

export interface DisposeFailure {
  label: string;
  error: unknown;
}

/** What belongs to one plugin: a container that sees its parent's values and keeps its own, and a list of what to undo. */
export interface PluginScope extends AsyncDisposable {
  readonly plugin: string;
  readonly container: DependencyContainer;
  /** Labels of what is to be undone, oldest first. */
  readonly owned: readonly string[];
  /** Has something undone with the scope; returns what was given. Throws SHUTTING_DOWN when the scope is disposed already. */
  own<U extends Undo>(label: string, undo: U): U;
  /** Undoes everything, the latest first and one after the other. A failure stops nothing; all of them come back. */
  dispose(): Promise<DisposeFailure[]>;
}

export function createPluginScope(parent: DependencyContainer, plugin: string): PluginScope {
  const container = parent.createChildContainer();
  const undos: { label: string; undo: Undo }[] = [];
  let disposing: Promise<DisposeFailure[]> | undefined;
  const dispose = () => {
    disposing ??= undoAll(undos).finally(() => container.clearInstances());
    return disposing;
  };
  return {
    plugin,
    container,
    get owned() {
      return undos.map(({ label }) => label);
    },
    own(label, undo) {
      if (disposing !== undefined)
        throw new AtollError('SHUTTING_DOWN', `${plugin} is stopped; it can't own "${label}" any more.`);
      undos.push({ label, undo });
      return undo;
    },
    dispose,
    async [Symbol.asyncDispose]() {
      const failures = await dispose();
      if (failures.length === 0) return;
      const labels = failures.map(({ label }) => label).join(', ');
      throw new AggregateError(
        failures.map(({ error }) => error),
        `${plugin}: not undone: ${labels}.`,
      );
    },
  };
}

async function undoAll(undos: { label: string; undo: Undo }[]): Promise<DisposeFailure[]> {
  const failures: DisposeFailure[] = [];
  for (let next = undos.pop(); next; next = undos.pop()) {
    try {
      await run(next.undo);
    } catch (error) {
      failures.push({ label: next.label, error });
    }
  }
  return failures;
}

function run(undo: Undo): unknown {
  if (typeof undo === 'function') return undo();
  return Symbol.asyncDispose in undo ? undo[Symbol.asyncDispose]() : undo[Symbol.dispose]();
}
