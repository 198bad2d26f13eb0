import { AtollError, ERRORS, type ErrorCode } from '@atoll/plugin-sdk/contract';

/** Exit codes of `atoll`. */
export const EXIT = { OK: 0, FAILURE: 1, USAGE: 2, UNREACHABLE: 3, AUTH: 4, NOT_FOUND: 5 } as const;

/** An error that knows its exit code. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    message: string,
    readonly exitCode: number,
    readonly details: { code?: string; hint?: string } = {},
  ) {
    super(message);
  }
}

export function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof AtollError)
    return new CliError(error.message, exitCodeOf(error.status), { code: error.code, hint: ERRORS[error.code].hint });
  return new CliError(error instanceof Error ? error.message : String(error), EXIT.FAILURE);
}

export function exitCodeOf(status: number): number {
  if (status === 401 || status === 403) return EXIT.AUTH;
  return status === 404 ? EXIT.NOT_FOUND : EXIT.FAILURE;
}

export const hintOf = (code: string): string | undefined =>
  Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode].hint : undefined;
