import { type Difference, diffJson } from './diff.js';
import { type CallOutput, describeTarget, type HostCall, type Payload, type RecordedCall } from './recorded-call.js';
import type { ReplayedCall } from './replay.js';

export interface HostCallView {
  method: string;
  input: unknown;
}

/** A call that the candidate does otherwise. */
export interface CallReport {
  call: string;
  at?: string;
  /** `failed`: it ends with an error that the running version does not end with. */
  outcome: 'different' | 'failed';
  /** Between the answers, at /status, /headers, /body, /chunks or /error. */
  output: Difference[];
  hostCalls: {
    added: HostCallView[];
    missing: HostCallView[];
    changed: { method: string; differences: Difference[] }[];
  };
}

const MAX_SHOWN = 20;
const MAX_SHOWN_CHARACTERS = 500;

/** Undefined when both do the same. */
export function compareCalls(
  { target, at }: RecordedCall,
  before: ReplayedCall,
  after: ReplayedCall,
): CallReport | undefined {
  const output = diffJson(shapeOf(before.output), shapeOf(after.output));
  if (output.length === 0 && after.added.length === 0 && after.missing.length === 0) return undefined;
  const failed = after.output.error !== undefined && before.output.error === undefined;
  return {
    call: describeTarget(target),
    at: new Date(at).toISOString(),
    outcome: failed ? 'failed' : 'different',
    output: shown(output),
    hostCalls: compareHostCalls(after.missing, after.added),
  };
}

/** Whether the version that was recorded did the same again. */
export const isSteady = (recorded: RecordedCall, { output, added, missing }: ReplayedCall): boolean =>
  added.length === 0 && missing.length === 0 && diffJson(shapeOf(recorded.output), shapeOf(output)).length === 0;

/** What is missing and what is new instead of it belong together. */
export function compareHostCalls(missing: readonly HostCall[], added: readonly HostCall[]): CallReport['hostCalls'] {
  const left = [...missing];
  const report: CallReport['hostCalls'] = { added: [], missing: [], changed: [] };
  for (const call of added) {
    const at = left.findIndex(({ method }) => method === call.method);
    if (at < 0) report.added.push(viewOf(call));
    else {
      const [before] = left.splice(at, 1);
      const differences = shown(diffJson(inputOf(before!), inputOf(call)));
      report.changed.push({ method: call.method, differences });
    }
  }
  report.missing = left.map(viewOf);
  for (const list of Object.values(report)) list.splice(MAX_SHOWN);
  return report;
}

const viewOf = (call: HostCall): HostCallView => ({ method: call.method, input: short(inputOf(call)) });

const inputOf = ({ input: { head, body, streamed } }: HostCall): unknown => ({
  ...(head !== undefined && { head }),
  ...(body && { body: plain(body) }),
  ...(streamed && { streamed }),
});

const shapeOf = ({ body, headers, ...rest }: CallOutput): unknown => ({
  ...rest,
  ...(headers && { headers: Object.fromEntries(headers) }),
  ...(body && { body: plain(body) }),
});

const plain = (payload: Payload): unknown =>
  'json' in payload ? payload.json : 'text' in payload ? payload.text : payload.opaque;

const shown = (differences: readonly Difference[]): Difference[] =>
  differences.slice(0, MAX_SHOWN).map(({ pointer, ...sides }) => ({
    pointer,
    ...('before' in sides && { before: short(sides.before) }),
    ...('after' in sides && { after: short(sides.after) }),
  }));

function short(value: unknown): unknown {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text === undefined || text.length <= MAX_SHOWN_CHARACTERS ? value : `${text.slice(0, MAX_SHOWN_CHARACTERS)}…`;
}
