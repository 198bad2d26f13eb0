import { type Static, Type } from 'typebox';

/** A model as its provider lists it. */
export const ModelInfo = Type.Object({
  id: Type.String(),
  /** Seconds since 1970. */
  created: Type.Optional(Type.Integer()),
  ownedBy: Type.Optional(Type.String()),
  /** `chat`, `embed`, `tools`, `vision`, `audio`, `thinking`; absent when the provider does not know. */
  capabilities: Type.Optional(Type.Array(Type.String())),
  contextLength: Type.Optional(Type.Integer({ minimum: 1 })),
});
export type ModelInfo = Static<typeof ModelInfo>;

export const ModelList = Type.Object({ models: Type.Array(ModelInfo) });
export type ModelList = Static<typeof ModelList>;
