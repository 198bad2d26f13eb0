import { type Static, Type } from 'typebox';
import { AssistantMessage, ChatMessage } from './chat-message.js';

/**
 * What a chat asks and answers, in provider-neutral words. Options a provider cannot honour are refused with
 * UNSUPPORTED.
 */

export const Tool = Type.Object({
  name: Type.String({ minLength: 1 }),
  description: Type.Optional(Type.String()),
  /** JSON Schema of the arguments. */
  parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  strict: Type.Optional(Type.Boolean()),
});
export type Tool = Static<typeof Tool>;

export const ToolChoice = Type.Union([
  Type.Literal('auto'),
  Type.Literal('none'),
  Type.Literal('required'),
  Type.Object({ name: Type.String() }),
]);
export type ToolChoice = Static<typeof ToolChoice>;

export const ResponseFormat = Type.Union([
  Type.Object({ type: Type.Literal('text') }),
  Type.Object({ type: Type.Literal('json') }),
  Type.Object({
    type: Type.Literal('json_schema'),
    name: Type.Optional(Type.String()),
    description: Type.Optional(Type.String()),
    schema: Type.Record(Type.String(), Type.Unknown()),
    strict: Type.Optional(Type.Boolean()),
  }),
]);
export type ResponseFormat = Static<typeof ResponseFormat>;

const options = {
  tools: Type.Optional(Type.Array(Tool)),
  toolChoice: Type.Optional(ToolChoice),
  parallelToolCalls: Type.Optional(Type.Boolean()),
  responseFormat: Type.Optional(ResponseFormat),
  stop: Type.Optional(Type.Array(Type.String())),
  seed: Type.Optional(Type.Integer()),
  temperature: Type.Optional(Type.Number({ minimum: 0 })),
  topP: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  topK: Type.Optional(Type.Integer({ minimum: 1 })),
  frequencyPenalty: Type.Optional(Type.Number()),
  presencePenalty: Type.Optional(Type.Number()),
  maxTokens: Type.Optional(Type.Integer({ minimum: 1 })),
  logprobs: Type.Optional(Type.Boolean()),
  topLogprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
  logitBias: Type.Optional(Type.Record(Type.String(), Type.Number())),
  /**
   * `false`: no reasoning; `true` or an effort (`minimal`, `low`, `medium`, `high`, …): reasoning; absent: the
   * provider's default.
   */
  think: Type.Optional(Type.Union([Type.Boolean(), Type.String()])),
};

export const ChatInput = Type.Object({
  /** The provider's own name of the model, without the provider. */
  model: Type.String({ minLength: 1 }),
  messages: Type.Array(ChatMessage, { minItems: 1 }),
  ...options,
});
export type ChatInput = Static<typeof ChatInput>;

/** The same for callers that leave the choice of the model to the router. */
export const RoutedChatInput = Type.Object({
  /** `provider/model`, an alias, or a bare name; the router's default model when absent. */
  model: Type.Optional(Type.String({ minLength: 1 })),
  messages: Type.Array(ChatMessage, { minItems: 1 }),
  ...options,
});
export type RoutedChatInput = Static<typeof RoutedChatInput>;

export const Usage = Type.Object({
  promptTokens: Type.Integer({ minimum: 0 }),
  completionTokens: Type.Integer({ minimum: 0 }),
  totalTokens: Type.Integer({ minimum: 0 }),
  cachedTokens: Type.Optional(Type.Integer({ minimum: 0 })),
  reasoningTokens: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type Usage = Static<typeof Usage>;

const tokenFields = {
  token: Type.String(),
  logprob: Type.Number(),
  bytes: Type.Optional(Type.Array(Type.Integer())),
};

export const TokenLogprob = Type.Object({
  ...tokenFields,
  top: Type.Optional(Type.Array(Type.Object(tokenFields))),
});
export type TokenLogprob = Static<typeof TokenLogprob>;

export const FinishReason = Type.Union([
  Type.Literal('stop'),
  Type.Literal('length'),
  Type.Literal('tool_calls'),
  Type.Literal('content_filter'),
]);
export type FinishReason = Static<typeof FinishReason>;

export const ChatOutput = Type.Object({
  model: Type.String(),
  message: AssistantMessage,
  finishReason: FinishReason,
  usage: Type.Optional(Usage),
  logprobs: Type.Optional(Type.Array(TokenLogprob)),
});
export type ChatOutput = Static<typeof ChatOutput>;

/** A piece of a tool call: `id` and `name` come with its first piece, `arguments` may come in several. */
export const ToolCallDelta = Type.Object({
  index: Type.Integer({ minimum: 0 }),
  id: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  arguments: Type.Optional(Type.String()),
});
export type ToolCallDelta = Static<typeof ToolCallDelta>;

/**
 * One step of a streamed answer. A complete stream has exactly one chunk with `finishReason`; `usage` comes with it or
 * after it. A stream that ends without one was cut off.
 */
export const ChatChunk = Type.Object({
  content: Type.Optional(Type.String()),
  thinking: Type.Optional(Type.String()),
  refusal: Type.Optional(Type.String()),
  toolCalls: Type.Optional(Type.Array(ToolCallDelta)),
  logprobs: Type.Optional(Type.Array(TokenLogprob)),
  finishReason: Type.Optional(FinishReason),
  usage: Type.Optional(Usage),
});
export type ChatChunk = Static<typeof ChatChunk>;
