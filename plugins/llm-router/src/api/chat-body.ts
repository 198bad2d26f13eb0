import { type Static, Type } from '@atoll/plugin-sdk';
import { optional } from './schema.js';

/** The body of `POST /v1/chat/completions`. */
export const ChatBody = Type.Object({
  model: Type.Optional(
    Type.String({
      minLength: 1,
      description: '`provider/model`, an alias or a bare name; the default model when absent.',
    }),
  ),
  messages: Type.Array(Type.Object({ role: Type.String() }), { minItems: 1 }),
  stream: optional.boolean,
  stream_options: optional.object,
  n: optional.integer(1),
  temperature: optional.number(0, 2),
  top_p: optional.number(0, 1),
  top_k: optional.integer(1),
  max_tokens: optional.integer(1),
  max_completion_tokens: optional.integer(1),
  stop: optional.stop,
  seed: optional.integer(Number.MIN_SAFE_INTEGER),
  frequency_penalty: optional.number(-2, 2),
  presence_penalty: optional.number(-2, 2),
  logit_bias: optional.object,
  logprobs: optional.boolean,
  top_logprobs: optional.integer(0, 20),
  tools: Type.Optional(Type.Unsafe<unknown[] | null>({ type: ['array', 'null'] })),
  tool_choice: optional.any,
  parallel_tool_calls: optional.boolean,
  response_format: optional.object,
  reasoning_effort: optional.string,
  store: optional.boolean,
});
export type ChatBody = Static<typeof ChatBody>;
