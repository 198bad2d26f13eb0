export type { JobPage, JobQuery, JobView } from './job-view.js';
export { JobService } from './service.js';
export { type JobDefinition, type JobWork, STATES } from './types.js';
