import { AtollError, ERRORS, type ProblemDetails, toProblem } from '@atoll/plugin-sdk/contract';

/**
 * The problem document of an error, safe to send whatever the error's extras are: they may come from a plugin, so the status
 * may be none, and the rest may be nested too deeply to be written.
 */
export function problemOf(error: AtollError, instance?: string): ProblemDetails {
  const problem = toProblem(isWritable(error.extras) ? error : new AtollError(error.code, error.message), instance);
  const known = Number.isInteger(problem.status) && problem.status >= 400 && problem.status <= 599;
  return known ? problem : { ...problem, status: ERRORS[error.code].status };
}

/** Seconds for the `retry-after` header; undefined when the error has no usable number. */
export function retryAfterOf({ extras }: AtollError): number | undefined {
  const { retryAfter } = extras as { retryAfter?: unknown };
  return typeof retryAfter === 'number' && retryAfter >= 0 && retryAfter <= 86_400 ? Math.ceil(retryAfter) : undefined;
}

function isWritable(extras: object): boolean {
  try {
    JSON.stringify(extras);
    return true;
  } catch {
    return false;
  }
}
