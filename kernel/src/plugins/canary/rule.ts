import type { CallFigures } from './meter.js';
import type { CanaryRule } from './spec.js';

export type Verdict = { outcome: 'wait' } | { outcome: 'promote' | 'roll back'; reason: string };

const percent = (rate: number): string => `${Math.round(rate * 1000) / 10} %`;

/** What is to become of a canary. Without enough calls nothing is known, however much time has passed. */
export function judge(candidate: CallFigures, running: CallFigures, elapsedMs: number, rule: CanaryRule): Verdict {
  if (candidate.calls < rule.minCalls) return { outcome: 'wait' };
  const worse = tooManyErrors(candidate, running, rule) ?? tooSlow(candidate, running, rule);
  if (worse !== undefined) return { outcome: 'roll back', reason: worse };
  const good = candidate.calls - candidate.errors;
  if (rule.promoteAfterCalls !== null && good >= rule.promoteAfterCalls)
    return { outcome: 'promote', reason: `${good} calls went well.` };
  if (rule.promoteAfterMs !== null && elapsedMs >= rule.promoteAfterMs)
    return { outcome: 'promote', reason: `It went well for ${Math.round(elapsedMs / 1000)} s, with ${good} calls.` };
  return { outcome: 'wait' };
}

function tooManyErrors(candidate: CallFigures, running: CallFigures, rule: CanaryRule): string | undefined {
  if (candidate.errorRate <= running.errorRate + rule.errorMargin) return undefined;
  const beside = running.calls > 0 ? `; the running version: ${percent(running.errorRate)}` : '';
  return `${percent(candidate.errorRate)} of its ${candidate.calls} calls failed${beside}.`;
}

/** How fast is fast enough only the running version can tell. */
function tooSlow(candidate: CallFigures, running: CallFigures, rule: CanaryRule): string | undefined {
  if (running.calls < rule.minCalls || candidate.p95Ms === null || running.p95Ms === null) return undefined;
  if (candidate.p95Ms <= running.p95Ms * rule.latencyFactor + rule.latencyMarginMs) return undefined;
  return `Its p95 is ${candidate.p95Ms} ms; that of the running version ${running.p95Ms} ms.`;
}
