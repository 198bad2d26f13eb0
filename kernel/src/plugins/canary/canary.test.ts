import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import { describe, expect, it } from 'vitest';
import type { PluginInstance } from '../instance.js';
import { Canary, type CanaryPlan } from './canary.js';
import { type CallFigures, CallMeter } from './meter.js';
import { judge } from './rule.js';
import { toSpec } from './spec.js';
import { Split } from './split.js';

const figures = (calls: number, errors: number, p95Ms: number | null): CallFigures => ({
  calls,
  errors,
  errorRate: calls === 0 ? 0 : errors / calls,
  p50Ms: p95Ms,
  p95Ms,
});
const { rule } = toSpec({ share: 0.5 });
const outcome = (...[candidate, running, elapsed = 0, more = {}]: [CallFigures, CallFigures, number?, object?]) =>
  judge(candidate, running, elapsed, { ...rule, ...more }).outcome;

describe('the rule', () => {
  it('waits for enough calls, whatever they came to and however long it takes', () => {
    expect(outcome(figures(19, 19, 9_000), figures(100, 0, 1), 1e9)).toBe('wait');
    expect(outcome(figures(20, 0, 1), figures(100, 0, 1), 1_000)).toBe('wait');
  });

  it('rolls back what fails more often than the running version, by more than the margin', () => {
    expect(outcome(figures(100, 6, 1), figures(100, 0, 1))).toBe('roll back');
    expect(outcome(figures(100, 5, 1), figures(100, 0, 1))).toBe('wait');
    // When all fails, it is not the new version's fault.
    expect(outcome(figures(100, 100, 1), figures(100, 98, 1))).toBe('wait');
    expect(outcome(figures(100, 6, 1), figures(0, 0, null))).toBe('roll back');
  });

  it('rolls back what is slower, by factor and margin, when both are known well enough', () => {
    expect(outcome(figures(20, 0, 201), figures(20, 0, 100))).toBe('roll back');
    expect(outcome(figures(20, 0, 199), figures(20, 0, 100))).toBe('wait');
    expect(outcome(figures(20, 0, 900), figures(19, 0, 100))).toBe('wait');
    // A few ms more than next to nothing is not slow.
    expect(outcome(figures(20, 0, 30), figures(20, 0, 1))).toBe('wait');
  });

  it('promotes after the time, or after calls that went well', () => {
    expect(outcome(figures(20, 0, 1), figures(20, 0, 1), 600_000)).toBe('promote');
    expect(outcome(figures(20, 0, 1), figures(20, 0, 1), 1e9, { promoteAfterMs: null })).toBe('wait');
    const after = { promoteAfterMs: null, promoteAfterCalls: 30 };
    expect(outcome(figures(30, 1, 1), figures(20, 0, 1), 0, after)).toBe('wait');
    expect(outcome(figures(31, 1, 1), figures(20, 0, 1), 0, after)).toBe('promote');
  });
});

describe('the split', () => {
  const root: Principal = { kind: 'root', id: 'root', roles: [] };
  const user = (id: string, more: Partial<Principal> = {}): Principal => ({
    kind: 'user',
    id,
    user: id,
    roles: [],
    ...more,
  });

  it('shares calls of nobody in particular out one by one', () => {
    const split = new Split('p', { share: 0.1 });
    const taken = Array.from({ length: 1_000 }, () => split.takes({ principal: root })).filter(Boolean);
    expect(taken).toHaveLength(100);
    expect(split.takes({})).toBe(false);
  });

  it('keeps a user, with all keys, on the same version, and about the share of users on the canary', () => {
    const split = new Split('p', { share: 0.25 });
    const users = Array.from({ length: 2_000 }, (_, n) => `user-${n}`);
    const taken = users.filter((id) => split.takes({ principal: user(id) }));
    expect(taken.length / users.length).toBeCloseTo(0.25, 1);
    for (const id of users.slice(0, 200)) {
      const key: Principal = { kind: 'key', id: `key-of-${id}`, user: id, roles: [] };
      expect(split.takes({ principal: key })).toBe(taken.includes(id));
    }
    // Other plugins meet other users.
    expect(users.filter((id) => new Split('q', { share: 0.25 }).takes({ principal: user(id) }))).not.toEqual(taken);
    expect(users.some((id) => new Split('p', { share: 0 }).takes({ principal: user(id) }))).toBe(false);
  });

  it('takes those that are named, and nobody else', () => {
    const split = new Split('p', {
      header: { name: 'X-Canary', value: '1' },
      users: ['ada'],
      organisations: ['guest'],
    });
    expect(split.takes({ principal: root })).toBe(false);
    expect(split.takes({ principal: root, headers: { 'x-canary': '1' } })).toBe(true);
    expect(split.takes({ principal: root, headers: { 'x-canary': '2' } })).toBe(false);
    expect(split.takes({ principal: user('ada') })).toBe(true);
    expect(split.takes({ principal: user('eve') })).toBe(false);
    expect(split.takes({ principal: user('eve', { organisation: 'guest' }) })).toBe(true);
  });

  it('needs to know for whom', () => {
    expect(() => toSpec({})).toThrow('needs a share');
    expect(() => toSpec({ rule: { minCalls: 1 } })).toThrow('needs a share');
  });
});

describe('a canary', () => {
  const version = (number: string) => {
    const instance = { id: 'p', live: true, manifest: { version: number }, meter: undefined, split: undefined };
    return instance as unknown as PluginInstance;
  };
  const begin = (running: PluginInstance, candidate: PluginInstance) => {
    const told: string[] = [];
    const plan = { spec: toSpec({ header: { name: 'x' } }) } as unknown as CanaryPlan;
    const canary: Canary = new Canary(running, candidate, plan, {
      promote: () => told.push('promote'),
      rollBack: (one, reason) => {
        told.push(reason);
        one.end('rolled-back', reason);
      },
    });
    return { canary, told };
  };
  const caller = { principal: { kind: 'root', id: 'root', roles: [] } as Principal, headers: { x: '1' } };

  it('goes on beside another instance of the running version, with the figures of both', async () => {
    const [old, moved, candidate] = [version('1.0.0'), version('1.0.0'), version('2.0.0')];
    const { canary } = begin(old, candidate);
    await old.meter!.measure(async () => ({}));
    canary.rebind(moved);
    expect([old.split, moved.split]).toEqual([undefined, canary]);
    await moved.meter!.measure(async () => ({}));
    expect(canary.view()).toMatchObject({ state: 'running', running: { calls: 2 }, candidate: { version: '2.0.0' } });
    expect([canary.pick(caller), canary.pick({ ...caller, headers: {} })]).toEqual([candidate, moved]);
    canary.end('aborted', 'enough');
    expect([moved.split, moved.meter, candidate.meter]).toEqual([undefined, undefined, undefined]);
  });

  it('ends once, and takes no calls from then on', () => {
    const [running, candidate] = [version('1.0.0'), version('2.0.0')];
    const { canary, told } = begin(running, candidate);
    expect(canary.takes(caller)).toBe(true);
    canary.rollBack('It crashed.');
    canary.rollBack('It is disabled.');
    expect(told).toEqual(['It crashed.']);
    expect(canary.takes(caller)).toBe(false);
    expect(canary.view()).toMatchObject({ state: 'rolled-back', reason: 'It crashed.', from: '1.0.0', to: '2.0.0' });
  });

  it('takes none either when the candidate has ended by itself', () => {
    const candidate = version('2.0.0');
    const { canary } = begin(version('1.0.0'), candidate);
    Object.assign(candidate, { live: false });
    expect(canary.takes(caller)).toBe(false);
    canary.end('rolled-back', 'It ended.');
  });
});

describe('the meter', () => {
  it('counts what went wrong in the plugin, and not what callers did wrong or gave up', async () => {
    const meter = new CallMeter();
    const fail = (error: unknown) => expect(meter.measure(() => Promise.reject(error))).rejects.toBe(error);
    await meter.measure(async () => ({}));
    await fail(new AtollError('VALIDATION_FAILED'));
    await fail(new AtollError('CANCELLED'));
    await fail(new AtollError('PLUGIN_CRASHED'));
    await fail(new TypeError('no'));
    await meter.measure(
      async () => ({ status: 500 }),
      ({ status }) => status >= 500,
    );
    expect(meter.figures()).toMatchObject({ calls: 5, errors: 3, errorRate: 0.6 });
    expect(meter.figures().p95Ms).toBeGreaterThanOrEqual(0);
  });

  it('counts a stream that breaks, and lets one be given up', async () => {
    const meter = new CallMeter();
    let given = false;
    const broken: AsyncIterable<Buffer> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new AtollError('PLUGIN_CRASHED')),
        return: async () => {
          given = true;
          return { done: true, value: undefined };
        },
      }),
    };
    const { stream } = await meter.measure(async () => ({ stream: broken }));
    const iterator = stream[Symbol.asyncIterator]();
    await expect(iterator.next()).rejects.toThrow();
    expect(meter.figures()).toMatchObject({ calls: 1, errors: 1 });
    await iterator.return?.();
    expect(given).toBe(true);
  });

  it('keeps the latest latencies only', async () => {
    const meter = new CallMeter();
    for (let n = 0; n < 2_500; n++) await meter.measure(async () => ({}));
    expect(meter.figures()).toMatchObject({ calls: 2_500, errors: 0 });
  });
});
