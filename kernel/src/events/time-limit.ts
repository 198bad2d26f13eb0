import { AtollError } from '@atoll/plugin-sdk/contract';

/**
 * Runs a task and waits for it `timeoutMs` at most; then rejects with DEADLINE_EXCEEDED. The task itself can't be stopped: it is left
 * to itself, and what becomes of it is ignored.
 */
export async function withTimeLimit<T>(timeoutMs: number, what: string, task: () => T): Promise<Awaited<T>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new AtollError('DEADLINE_EXCEEDED', `${what} took longer than ${timeoutMs} ms.`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([task(), late]);
  } finally {
    clearTimeout(timer);
  }
}
