import type { ServerResponse } from 'node:http';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { CancelSignal } from '../sandbox/host/guest-call.js';

/**
 * Aborts when the client goes away before the answer is complete. One is made for every request, and an AbortController with its
 * event target costs more than the rest of the routing; this has room for the one listener that a call needs.
 */
export class ClientSignal implements CancelSignal {
  aborted = false;
  reason: unknown;
  #listener: (() => void) | undefined;

  /** Throws CANCELLED when the client has gone already. */
  constructor(res: ServerResponse) {
    if (res.closed) throw new AtollError('CANCELLED');
    res.on('close', () => {
      if (res.writableFinished) return;
      this.aborted = true;
      this.reason = new AtollError('CANCELLED');
      this.#listener?.();
    });
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listener === listener) this.#listener = undefined;
  }
}
