import { type Permission, permissionCovers } from '@atoll/registry';
import { entriesOf, FLAGS, LISTS, type PermissionSet, toSet } from './permission-set.js';

/** What an operator has left of a plugin's permissions, and of what: later versions may ask for more, which is consented to apart. */
export interface Narrowing {
  granted: PermissionSet;
  /** All that it had asked for when this was decided. */
  of: PermissionSet;
}

/** What a version that asks for this has: what was left of it, and what it asks for beyond what the operator has decided on. */
export function effective(asked: PermissionSet, narrowing: Narrowing | undefined): PermissionSet {
  if (!narrowing) return asked;
  const [granted, decided] = [entriesOf(narrowing.granted), entriesOf(narrowing.of)];
  return toSet(
    unique(
      entriesOf(asked).flatMap((entry) =>
        // What goes beyond was consented to since, as it stands.
        decided.some((one) => permissionCovers(one, entry)) ? within(entry, granted) : [entry],
      ),
    ),
  );
}

/** What of an entry is granted: it, or the narrower ones. Entries that overlap only in part are not. */
function within(entry: Permission, granted: readonly Permission[]): Permission[] {
  if (granted.some((one) => permissionCovers(one, entry))) return [entry];
  return granted.filter((one) => permissionCovers(entry, one));
}

/** The next narrowing. What was once taken away is remembered, also for a version that runs again after a rollback. */
export function narrowed(asked: PermissionSet, granted: PermissionSet, before: Narrowing | undefined): Narrowing {
  const decided = before ? unique([...entriesOf(before.of), ...entriesOf(asked)]) : entriesOf(asked);
  return { granted, of: toSet(decided) };
}

export interface SetProblem {
  pointer: string;
  message: string;
}

/** Where a set goes beyond what is asked for. */
export function problemsOf(set: PermissionSet, asked: PermissionSet): SetProblem[] {
  const entries = entriesOf(asked);
  const fits = (entry: Permission) => entries.some((one) => permissionCovers(one, entry));
  return [
    ...FLAGS.filter((kind) => set[kind] && !asked[kind]).map((kind) => ({
      pointer: `/${kind}`,
      message: 'is not asked for by the manifest',
    })),
    ...LISTS.flatMap(({ kind, path, of }) =>
      of(set).flatMap((value, at) =>
        fits({ kind, value })
          ? []
          : [
              {
                pointer: `${path}/${at}`,
                message: `"${value.slice(0, 200)}" is not covered by what the manifest asks for`,
              },
            ],
      ),
    ),
  ];
}

function unique(entries: readonly Permission[]): Permission[] {
  const seen = new Map(entries.map((entry) => [`${entry.kind} ${entry.value ?? ''}`, entry]));
  return [...seen.values()];
}
