/**
 * As in browsers a failed fetch is a TypeError, also one that fails while its body is read; the host's reason and code are its cause
 * and stay readable. Reasons of an abort are passed on as they are.
 */
export function networkError(error: unknown): unknown {
  const { name, message, code } = (error ?? {}) as { name?: string; message?: string; code?: string };
  if (name !== 'AtollError') return error;
  return Object.assign(new TypeError(`fetch failed: ${message}`, { cause: error }), { code });
}
