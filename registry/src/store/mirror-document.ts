import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { hexOf } from '../package/integrity.js';
import { Channel } from './index-document.js';

/** The list of a mirror bundle: its first entry. */
export const MIRROR_FILE = 'mirror.json';
/** Where in a bundle a tarball lies: half of its hash, because a tar header holds no longer names. */
export const mirrorPath = (integrity: string): string => `packages/${hexOf(integrity).slice(0, 64)}.tgz`;

const text = (maxLength: number) => Type.String({ minLength: 1, maxLength });

export const MirrorDocument = Type.Object({
  format: Type.Literal(1),
  packages: Type.Array(
    Type.Object({
      id: text(64),
      name: text(214),
      version: text(256),
      integrity: Type.String({ pattern: '^sha512-[A-Za-z0-9+/]{86}==$' }),
      size: Type.Integer({ minimum: 1 }),
      channel: Channel,
      yanked: Type.Optional(text(10_000)),
      deprecated: Type.Optional(text(10_000)),
    }),
    { maxItems: 100_000 },
  ),
  /** Keys that signed the packages. They are not trusted for being here. */
  keys: Type.Array(Type.Object({ publicKey: text(256), publisher: text(256) }), { maxItems: 10_000 }),
});
export type MirrorDocument = Static<typeof MirrorDocument>;

const compiled = Compile(MirrorDocument);
export const isMirrorDocument = (value: unknown): value is MirrorDocument => compiled.Check(value);
