import { type Static, Type } from '@atoll/plugin-sdk';
import { optional } from '../api/schema.js';

/** The body of `POST /v1/responses`. */
export const ResponsesBody = Type.Object({
  model: Type.Optional(Type.String({ minLength: 1 })),
  input: Type.Unknown({ description: 'Text, or a list of items.' }),
  instructions: optional.string,
  stream: optional.boolean,
  store: optional.boolean,
  temperature: optional.number(0, 2),
  top_p: optional.number(0, 1),
  max_output_tokens: optional.integer(1),
  top_logprobs: optional.integer(0, 20),
  tools: Type.Optional(Type.Unsafe<unknown[] | null>({ type: ['array', 'null'] })),
  tool_choice: optional.any,
  parallel_tool_calls: optional.boolean,
  reasoning: optional.object,
  text: optional.object,
  metadata: optional.object,
  include: Type.Optional(Type.Unsafe<unknown[] | null>({ type: ['array', 'null'] })),
});
export type ResponsesBody = Static<typeof ResponsesBody>;
