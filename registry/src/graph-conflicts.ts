import semver from 'semver';

/** What is to be known of a plugin to tell whether it can run beside others. */
export interface Contender {
  readonly id: string;
  readonly version: string;
  /** Plugin id → range of versions it can't run beside. */
  readonly conflicts?: Readonly<Record<string, string>>;
}

/** Why a plugin can't run beside one that comes before it, whichever of them says so; in words that go on after "it". */
export function conflictBetween(node: Contender, before: Contender): string | undefined {
  const said = claim(node, before) ?? claim(before, node);
  return said && `can't run beside the plugin "${before.id}" ${before.version}, which comes first: ${said}`;
}

function claim({ id, conflicts = {} }: Contender, other: Contender): string | undefined {
  const range = Object.hasOwn(conflicts, other.id) ? conflicts[other.id] : undefined;
  if (range === undefined || !semver.satisfies(other.version, range)) return undefined;
  return `"${id}" conflicts with "${other.id}" ${range}`;
}
