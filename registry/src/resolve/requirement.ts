import { type Candidate, nameOf, rangeFor } from './candidate.js';

/** Something that has to be in the result, and who says so. */
export type Requirement = (
  | { kind: 'root'; id: string; why: string }
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
export function needText(requirement: Requirement): string {
  switch (requirement.kind) {
    case 'root':
      return requirement.why;
    case 'plugin':
      return `needs the plugin "${requirement.id}" ${requirement.range}`;
    case 'service':
      return `needs the service "${requirement.service}" ${requirement.range}`;
  }
}

/** The whole way to a requirement, one step each. */
export function chainText(requirement: Requirement): string[] {
  return [...requirement.chain, requirement].map((step) =>
    step.kind === 'root' ? `"${step.id}" ${step.why}` : `${nameOf(step.by)} ${needText(step)}`,
  );
}
