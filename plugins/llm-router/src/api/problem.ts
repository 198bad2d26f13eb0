import { AtollError, ERRORS, type ErrorCode } from '@atoll/plugin-sdk';
import { codedError, isAbort } from '@atoll/plugin-sdk/services/llm-provider';

/** OpenAI's error object, as the manifest's `errors` template writes it for answers that have not begun yet. */
export interface ErrorObject {
  message: string;
  type: string;
  param: null;
  code: string;
}

export function toErrorObject(thrown: unknown): ErrorObject {
  const known = codedError(thrown);
  const code: ErrorCode = known?.code ?? (isAbort(thrown) ? 'DEADLINE_EXCEEDED' : 'INTERNAL');
  const status = typeof known?.extras.status === 'number' ? known.extras.status : ERRORS[code].status;
  const message = known?.message ?? (thrown instanceof Error ? thrown.message : 'The answer failed.');
  return { message, type: typeOf(status), param: null, code };
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

export function badRequest(detail: string): AtollError {
  return new AtollError('BAD_REQUEST', detail);
}

export function unsupported(detail: string): AtollError {
  return new AtollError('UNSUPPORTED', detail);
}
