export { type Candidate, candidatesOf, overlappingMounts } from './candidate.js';
export type { ExplainedConflict } from './explain.js';
export { formatPlan, type PlanStep, type ResolutionPlan, type StepAction } from './plan.js';
export { fitsWant, type ResolveRequest, resolve } from './resolve.js';
