import { AtollError } from '@atoll/plugin-sdk/contract';

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'it refused the connection',
  ECONNRESET: 'the connection broke',
  EPIPE: 'the connection broke',
  UND_ERR_SOCKET: 'the connection broke',
  UND_ERR_DESTROYED: 'the connection was closed',
  UND_ERR_CLOSED: 'the connection was closed',
  ENOTFOUND: 'the name is unknown',
  EAI_AGAIN: 'the name can not be resolved at the moment',
  ENETUNREACH: 'its network can not be reached',
  EHOSTUNREACH: 'the host can not be reached',
};

/** A failure as a catalogue error. Neither texts nor stacks of the libraries beneath are passed on. */
export function toNetError(error: unknown, origin: string, signal?: AbortSignal): AtollError {
  if (error instanceof AtollError) return error;
  if (signal?.aborted) return signal.reason instanceof AtollError ? signal.reason : new AtollError('CANCELLED');
  const { code = '', name, cause } = error as { code?: string; name?: string; cause?: unknown };
  if (cause instanceof AtollError) return cause;
  if (name === 'AbortError') return new AtollError('CANCELLED');
  if (/TIMEOUT|TIMEDOUT/.test(code)) return new AtollError('NET_TIMEOUT', `${origin} did not answer in time.`);
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return new AtollError('NET_TOO_LARGE', `The header of the answer of ${origin} is too large.`);
  return new AtollError('NET_FAILED', `${origin} can't be reached: ${reasonOf(code, name)}.`);
}

function reasonOf(code: string, name: string | undefined): string {
  if (Object.hasOwn(REASONS, code)) return REASONS[code]!;
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) return `its certificate or TLS is not valid (${code})`;
  if (name === 'HTTPParserError' || code.startsWith('HPE_')) return 'it did not answer in HTTP';
  if (/^(Z_|ERR_+(?:BROTLI|ZLIB|.*FORMAT))/.test(code)) return 'its answer can not be decompressed';
  return /^[A-Z0-9_]{1,60}$/.test(code) ? `the request failed (${code})` : 'the request failed';
}
