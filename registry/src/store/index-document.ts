import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const text = Type.String();
const Mark = Type.Object({ at: text, reason: text });

/** Where a package came from: made on this machine, or by others. */
export const Origin = Type.Union([Type.Literal('local'), Type.Literal('third-party')]);
export type Origin = Static<typeof Origin>;

export const Channel = Type.Union([Type.Literal('latest'), Type.Literal('next')]);
export type Channel = Static<typeof Channel>;

const VersionRecord = Type.Object({
  integrity: text,
  keyId: Type.Optional(text),
  origin: Origin,
  /** Name of the source that it came from. */
  source: Type.Optional(text),
  channel: Channel,
  publishedAt: text,
  yanked: Type.Optional(Mark),
  deprecated: Type.Optional(Mark),
});
export type VersionRecord = Static<typeof VersionRecord>;

const PluginEntry = Type.Object({
  /** Of the npm package. */
  name: text,
  /** The only one who may publish under this id. */
  publisher: text,
  versions: Type.Record(text, VersionRecord),
  /** Version → integrity of what was removed: the same version never comes back with other bytes. */
  removed: Type.Record(text, text),
});
export type PluginEntry = Static<typeof PluginEntry>;

export const KeyTrust = Type.Union([
  Type.Literal('explicit'),
  Type.Literal('first-use'),
  Type.Literal('unconfirmed'),
  Type.Literal('revoked'),
]);
export type KeyTrust = Static<typeof KeyTrust>;

const KeyRecord = Type.Object({
  publicKey: text,
  /** One publisher may have several keys, one after the other. */
  publisher: text,
  /**
   * `explicit`: an operator said so; `first-use`: it signed something that was accepted; `unconfirmed`: found again after
   * the index was lost, and with it what an operator had said; `revoked`.
   */
  trust: KeyTrust,
  since: text,
  reason: Type.Optional(text),
});
export type KeyRecord = Static<typeof KeyRecord>;

/** What the store knows beyond its blobs: what was published, and what operators said about it. */
export const IndexDocument = Type.Object({
  format: Type.Literal(1),
  plugins: Type.Record(text, PluginEntry),
  keys: Type.Record(text, KeyRecord),
});
export type IndexDocument = Static<typeof IndexDocument>;

const compiled = Compile(IndexDocument);
export const isIndexDocument = (value: unknown): value is IndexDocument => compiled.Check(value);

export const emptyIndex = (): IndexDocument => ({ format: 1, plugins: {}, keys: {} });

/** A member that is the document's own, not one every object has. */
export const own = <T>(record: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;
