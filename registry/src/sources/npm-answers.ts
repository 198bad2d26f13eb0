import { type Static, type TSchema, Type } from 'typebox';
import Value from 'typebox/value';
import { AtollError } from '@atoll/plugin-sdk/contract';

const PackumentVersion = Type.Object({
  name: Type.String(),
  version: Type.String(),
  dist: Type.Object({ tarball: Type.String(), integrity: Type.Optional(Type.String()) }),
  deprecated: Type.Optional(Type.Unknown()),
  atollPackage: Type.Optional(Type.Unknown()),
  atoll: Type.Optional(Type.Unknown()),
});
export type PackumentVersion = Static<typeof PackumentVersion>;

/** What a registry knows of a package. */
export const Packument = Type.Object({ versions: Type.Record(Type.String(), PackumentVersion) });

export const SearchAnswer = Type.Object({
  objects: Type.Array(
    Type.Object({
      package: Type.Object({
        name: Type.String(),
        version: Type.Optional(Type.String()),
        'dist-tags': Type.Optional(Type.Record(Type.String(), Type.String())),
        description: Type.Optional(Type.String()),
        keywords: Type.Optional(Type.Array(Type.String())),
      }),
    }),
  ),
});

/** Throws SOURCE_BAD_ANSWER when the answer has another shape. */
export function parseAs<T extends TSchema>(schema: T, answer: unknown, source: string): Static<T> {
  if (Value.Check(schema, answer)) return answer as Static<T>;
  const [first] = Value.Errors(schema, answer);
  throw new AtollError(
    'SOURCE_BAD_ANSWER',
    `"${source}" answered in another form than npm registries do (${first?.instancePath || '/'}).`,
  );
}
