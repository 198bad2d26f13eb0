import type { ServerOptions } from './client.js';
import type { Output } from './output.js';

/** Runs what a command does; errors are told in one form, with their exit code. */
export type Run = (task: (out: Output, server: ServerOptions) => Promise<void>) => Promise<void>;
