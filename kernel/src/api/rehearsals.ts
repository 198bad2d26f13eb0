import { Type } from 'typebox';
import type { KernelRoute } from '../http/kernel-route.js';
import type { RecordingSettings } from '../plugins/rehearsal/recordings.js';
import type { Rehearsals } from '../plugins/rehearsal/rehearsals.js';

const Recording = Type.Object({
  id: Type.String(),
  version: Type.Optional(Type.String()),
  on: Type.Boolean(),
  sample: Type.Number(),
  keep: Type.Integer(),
  calls: Type.Integer(),
  bytes: Type.Integer(),
  leftOut: Type.Record(Type.String(), Type.Integer(), { description: 'Calls that were not kept, by reason.' }),
});
const Settings = Type.Object(
  {
    on: Type.Boolean(),
    sample: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'Share of the calls.' })),
    keep: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, description: 'Calls that are kept.' })),
  },
  { additionalProperties: false },
);
const Summary = Type.Object({
  calls: Type.Integer(),
  same: Type.Integer(),
  different: Type.Integer(),
  failed: Type.Integer(),
  unsteady: Type.Integer({ description: 'Of which the running version did not do the same again either.' }),
  skipped: Type.Integer({ description: 'For which no time was left.' }),
});
const Report = Type.Object({
  id: Type.String(),
  from: Type.String(),
  to: Type.String(),
  summary: Summary,
  calls: Type.Array(Type.Unknown(), {
    description: 'Those that are not the same: answers and host calls that differ.',
  }),
});

/** `/api/v1/plugins/{id}/recording` and `/rehearse`: trying a new version with calls that the running one has had. */
export function rehearsalApi(rehearsals: Rehearsals): KernelRoute[] {
  const recording = '/api/v1/plugins/:id/recording';
  const common = { tag: 'plugins' };
  return [
    {
      ...common,
      method: 'GET',
      path: recording,
      permission: 'plugins.inspect',
      summary: 'Whether calls of a plugin are recorded, and how much is kept',
      response: Recording,
      handle: ({ params }) => rehearsals.view(params.id!),
    },
    {
      ...common,
      method: 'PUT',
      path: recording,
      permission: 'plugins.manage',
      action: 'plugins.recording',
      summary: 'Record calls of a plugin in memory, secrets and personal data masked, or no longer',
      body: Settings,
      response: Recording,
      handle: ({ params, body, note }) => {
        const id = params.id!;
        const { on, sample, keep } = rehearsals.view(id);
        const after = rehearsals.record(id, body as Partial<RecordingSettings>);
        note({
          target: `plugin:${id}`,
          before: { on, sample, keep },
          after: { on: after.on, sample: after.sample, keep: after.keep },
        });
        return after;
      },
    },
    {
      ...common,
      method: 'GET',
      path: `${recording}/calls`,
      permission: 'plugins.manage',
      summary: 'The recorded calls as they are kept, latest first',
      query: Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }) }),
      response: Type.Object({ items: Type.Array(Type.Unknown()) }),
      handle: ({ params, query }) => ({ items: rehearsals.calls(params.id!, Number(query.limit)) }),
    },
    {
      ...common,
      method: 'POST',
      path: '/api/v1/plugins/:id/rehearse',
      permission: 'plugins.manage',
      action: 'plugins.rehearse',
      summary: 'Replay the recorded calls against another version in a closed isolate, and show what it does otherwise',
      body: Type.Object({
        version: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: 256,
            description: "Of the registry; without it its newest, or the plugin's folder as it is now.",
          }),
        ),
      }),
      response: Report,
      handle: async ({ params, body, note }) => {
        const report = await rehearsals.rehearse(params.id!, body.version as string | undefined);
        const { id, from, to, summary } = report;
        note({ target: `plugin:${id}`, after: { from, to, ...summary } });
        return report;
      },
    },
  ];
}
