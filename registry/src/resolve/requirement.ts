import { type Candidate, nameOf, rangeFor } from './candidate.js';

/** Something that has to be in the result, and who says so. */
export type Requirement = (
  | { kind: 'root'; id: string; asked: string }
  | { kind: 'root'; id: string; installed: string }
  | { kind: 'plugin'; by: Candidate; id: string; range: string }
  | { kind: 'service'; by: Candidate; service: string; range: string }
) & {
  /** The requirements that led here, the first one first. */
  chain: readonly Requirement[];
};

/** What a candidate needs, in a fixed order. */
export function requirementsOf(by: Candidate, chain: readonly Requirement[]): Requirement[] {
  const { dependencies, consumes } = by.manifest;
  return [
    ...Object.keys(dependencies)
      .sort()
      .map((id): Requirement => ({ kind: 'plugin', by, id, range: rangeFor(dependencies, id)!, chain })),
    ...Object.keys(consumes)
      .sort()
      .map((service): Requirement => ({ kind: 'service', by, service, range: rangeFor(consumes, service)!, chain })),
  ];
}

/** In words that go on after the name of who needs it. */
export function needText(requirement: Exclude<Requirement, { kind: 'root' }>): string {
  return requirement.kind === 'plugin'
    ? `needs the plugin "${requirement.id}" ${requirement.range}`
    : `needs the service "${requirement.service}" ${requirement.range}`;
}

/** What a root is, and why it is one: in words for both sides of an "is". */
export function rootText(root: Extract<Requirement, { kind: 'root' }>): [what: string, why: string] {
  return 'asked' in root
    ? [`"${root.id}" (${root.asked})`, 'asked for']
    : [`"${root.id}" ${root.installed}`, 'installed'];
}

/** The whole way to a requirement, one step each. */
export function chainText(requirement: Requirement): string[] {
  return [...requirement.chain, requirement].map((step) =>
    step.kind === 'root' ? rootText(step).join(' is ') : `${nameOf(step.by)} ${needText(step)}`,
  );
}
