import { AtollError } from '@atoll/plugin-sdk/contract';
import type { JobCallMeta } from '../../protocol/messages.js';
import type { Register } from './capabilities.js';
import { stringifyResult } from './errors.js';
import { handle, type InboundCall, type Outcome } from './inbound.js';
import { ask } from './outbound.js';

type Handler = (run: object) => unknown;

/** Tells the host of the latest progress, one message at a time: a handler may report in a tight loop. */
function progressTeller(id: string, attempt: number): (fraction: number) => void {
  let latest: number | undefined;
  let telling = false;
  const next = (): void => {
    if (telling || latest === undefined) return;
    const fraction = latest;
    [latest, telling] = [undefined, true];
    // Nobody waits for it, and a job that is over needs none.
    void ask('jobs.progress', { id, attempt, fraction })
      .catch(() => {})
      .then(() => {
        telling = false;
        next();
      });
  };
  return (fraction) => {
    latest = fraction;
    next();
  };
}

/** What a handler gets. */
function makeRun(call: InboundCall): object {
  const { j: id, n: attempt } = call.meta as JobCallMeta;
  const tell = progressTeller(id, attempt);
  return {
    id,
    attempt,
    data: call.json,
    get signal() {
      return call.signal;
    },
    progress: (fraction: number) => {
      if (!(fraction >= 0 && fraction <= 1)) throw new RangeError('progress() takes a number from 0 to 1.');
      tell(fraction);
    },
  };
}

/** The `jobs` and `schedule` capabilities. */
export function createJobs(register: Register) {
  const handlers: Handler[] = [];
  handle('job', async (call): Promise<Outcome> => {
    const handler = handlers[(call.meta as JobCallMeta).i];
    if (!handler) throw new AtollError('NOT_FOUND', 'The job has no handler.');
    const result = await handler(makeRun(call));
    return result === undefined ? {} : { body: stringifyResult(result, 'The result') };
  });
  const add = (what: string, handler: Handler | undefined): number => {
    if (typeof handler !== 'function') throw new TypeError(`${what} needs a handler function.`);
    return handlers.push(handler) - 1;
  };
  const send = (name: string, data: unknown = null, options: object = {}) =>
    ask<string>('jobs.send', { name, data, ...options });
  return {
    jobs: {
      define(name: string, ...rest: [Handler] | [object, Handler]) {
        const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest;
        register('jobs.define', { index: add(`jobs.define('${name}')`, handler), name, ...options });
        return { name, send: (data?: unknown, sendOptions?: object) => send(name, data, sendOptions) };
      },
      send,
    },
    schedule: {
      cron(name: string, expression: string, ...rest: [Handler] | [object, Handler]) {
        const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest;
        const index = add(`schedule.cron('${name}')`, handler);
        register('schedule.cron', { index, name, expression, ...options });
      },
    },
  };
}
