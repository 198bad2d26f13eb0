import { Type } from 'typebox';
import { RehearsalSection } from './rehearsal.js';
import { closed } from './parts.js';

/* Plugins: their sandbox, what they reach, where they come from. */

export const SandboxSection = Type.Object(
  {
    grouping: Type.Union([Type.Literal('publisher'), Type.Literal('plugin'), Type.Literal('shared')], {
      default: 'publisher',
      description:
        'Which plugins share a cell process: first-party together and each other publisher apart; each alone; or all.',
    }),
    maxCells: Type.Integer({
      minimum: 2,
      default: 8,
      description: 'Upper bound of cells in regular use; beyond it, groups share.',
    }),
    spares: Type.Integer({ minimum: 0, maximum: 8, default: 1, description: 'Warm cell processes kept ready.' }),
    heartbeatMs: Type.Integer({ minimum: 50, default: 500, description: 'Time between heartbeats of a cell, in ms.' }),
    heartbeatMisses: Type.Integer({
      minimum: 1,
      default: 6,
      description: 'Unanswered heartbeats after which a cell is killed.',
    }),
    graceMs: Type.Integer({
      minimum: 10,
      default: 500,
      description: 'From a missed deadline to dispose, and again from dispose to SIGKILL.',
    }),
    cellBaseMb: Type.Integer({
      minimum: 64,
      default: 256,
      description: 'RSS a cell may use beside what its plugins are allowed.',
    }),
    maxCrashes: Type.Integer({
      minimum: 1,
      default: 5,
      description: 'Crashes within `crashWindowMs` after which a plugin is quarantined.',
    }),
    crashWindowMs: Type.Integer({ minimum: 1000, default: 60_000, description: 'See `maxCrashes`, in ms.' }),
    backoffMs: Type.Integer({ minimum: 1, default: 100, description: 'First restart delay; doubles with each crash.' }),
    backoffMaxMs: Type.Integer({ minimum: 1, default: 10_000, description: 'Longest restart delay, in ms.' }),
    maxMemoryMb: Type.Integer({
      minimum: 16,
      default: 512,
      description: 'Largest `limits.memoryMb` a manifest may ask.',
    }),
    startTimeoutMs: Type.Integer({
      minimum: 100,
      default: 10_000,
      description: "How long a plugin's setup may take, in ms.",
    }),
  },
  closed,
);

export const NetSection = Type.Object(
  {
    narrow: Type.Record(Type.String(), Type.Array(Type.String()), {
      default: {},
      description: 'Per plugin id: the only origins it may reach, out of those its manifest lists.',
    }),
    connectTimeoutMs: Type.Integer({
      minimum: 1,
      default: 10_000,
      description: 'Name lookup, connection and TLS together, in ms.',
    }),
    headersTimeoutMs: Type.Integer({
      minimum: 1,
      default: 300_000,
      description: 'From the end of a request to the head of the answer, in ms.',
    }),
    idleTimeoutMs: Type.Integer({
      minimum: 1,
      default: 300_000,
      description: 'Longest silence of a remote server within an answer, in ms.',
    }),
    maxResponseBytes: Type.Integer({
      minimum: 1,
      default: 268_435_456,
      description: 'Largest answer, decompressed, in bytes.',
    }),
    maxRequestBytes: Type.Integer({ minimum: 1, default: 268_435_456, description: 'Largest request body, in bytes.' }),
    maxRedirects: Type.Integer({ minimum: 0, default: 5, description: 'Redirects followed within one request.' }),
    maxConcurrent: Type.Integer({ minimum: 1, default: 64, description: 'Open requests per plugin.' }),
  },
  closed,
);

export const PluginsSection = Type.Object(
  {
    path: Type.Array(Type.String(), {
      default: [],
      description: 'Further folders of plugin packages (env ATOLL_PLUGIN_PATH, `:`-separated).',
    }),
    config: Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown()), {
      default: {},
      description: 'Per plugin id: values for its `config` schema.',
    }),
    disabled: Type.Array(Type.String(), {
      default: [],
      description: 'Plugins that stay off until enabled through the API.',
    }),
    drainMs: Type.Integer({
      minimum: 0,
      default: 60_000,
      description: 'After a swap, time for what the old version has begun to end there, in ms.',
    }),
    rehearsal: RehearsalSection,
    rehearseBeforeSwap: Type.Array(Type.String(), {
      default: [],
      description:
        'Plugins that are only upgraded to what does the recorded calls as the running version; `*` for all.',
    }),
  },
  closed,
);

export const MarketplaceSection = Type.Object(
  {
    signatures: Type.Union([Type.Literal('first-use'), Type.Literal('required')], {
      default: 'first-use',
      description:
        'What packages of others need: `first-use` takes unsigned ones and trusts a key when it first sees it, `required` takes only what a trusted key has signed.',
    }),
  },
  closed,
);
