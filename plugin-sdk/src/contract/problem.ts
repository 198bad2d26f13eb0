import { type AtollError, ERRORS, type ErrorCode } from './errors.js';

/** RFC 9457 problem details as Atoll sends them (`application/problem+json`). */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  hint: string;
  /** The request id, also in the `x-request-id` header. */
  instance?: string;
  errors?: { pointer: string; message: string }[];
  [member: string]: unknown;
}

export function toProblem(error: AtollError, instance?: string): ProblemDetails {
  const entry = ERRORS[error.code];
  const { status: _status, ...extras } = error.extras;
  return {
    ...extras,
    type: `urn:atoll:problem:${error.code.toLowerCase().replaceAll('_', '-')}`,
    title: entry.title,
    status: error.status,
    detail: error.message,
    code: error.code,
    hint: entry.hint,
    ...(instance !== undefined && { instance }),
  };
}
