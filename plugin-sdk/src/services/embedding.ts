import { type Static, Type } from 'typebox';

const fields = {
  input: Type.Array(Type.String(), { minItems: 1 }),
  /** Length of the vectors, for models that can shorten them. */
  dimensions: Type.Optional(Type.Integer({ minimum: 1 })),
};

export const EmbedInput = Type.Object({ model: Type.String({ minLength: 1 }), ...fields });
export type EmbedInput = Static<typeof EmbedInput>;

export const RoutedEmbedInput = Type.Object({ model: Type.Optional(Type.String({ minLength: 1 })), ...fields });
export type RoutedEmbedInput = Static<typeof RoutedEmbedInput>;

/** `embeddings[i]` is the vector of `input[i]`. */
export const EmbedOutput = Type.Object({
  model: Type.String(),
  embeddings: Type.Array(Type.Array(Type.Number())),
  usage: Type.Optional(Type.Object({ promptTokens: Type.Integer({ minimum: 0 }) })),
});
export type EmbedOutput = Static<typeof EmbedOutput>;
