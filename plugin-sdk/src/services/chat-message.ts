import { type Static, Type } from 'typebox';

/** Provider-neutral chat messages: what every provider of `llm-provider` takes and gives. */

export const TextPart = Type.Object({ type: Type.Literal('text'), text: Type.String() });

/** Either `data` (base64) with `mediaType`, or the `url` of an image that the provider would have to fetch. */
export const ImagePart = Type.Object({
  type: Type.Literal('image'),
  data: Type.Optional(Type.String()),
  mediaType: Type.Optional(Type.String()),
  url: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
});

/** Base64 audio; `format` is `wav` or `mp3`. */
export const AudioPart = Type.Object({
  type: Type.Literal('audio'),
  data: Type.String(),
  format: Type.String(),
});

export const ContentPart = Type.Union([TextPart, ImagePart, AudioPart]);
export type ContentPart = Static<typeof ContentPart>;

export const ToolCall = Type.Object({
  id: Type.String(),
  name: Type.String(),
  /** A JSON object as text, as the model wrote it. */
  arguments: Type.String(),
});
export type ToolCall = Static<typeof ToolCall>;

export const ChatMessage = Type.Object({
  role: Type.Union([Type.Literal('system'), Type.Literal('user'), Type.Literal('assistant'), Type.Literal('tool')]),
  content: Type.Union([Type.String(), Type.Array(ContentPart)]),
  name: Type.Optional(Type.String()),
  /** Of an assistant message: the calls it made. */
  toolCalls: Type.Optional(Type.Array(ToolCall)),
  /** Of a tool message: the call it answers. */
  toolCallId: Type.Optional(Type.String()),
  /** Of an assistant message: the reasoning that came with it. */
  thinking: Type.Optional(Type.String()),
});
export type ChatMessage = Static<typeof ChatMessage>;

export const AssistantMessage = Type.Object({
  role: Type.Literal('assistant'),
  content: Type.String(),
  thinking: Type.Optional(Type.String()),
  /** Why the model declined to answer, for providers that say so. */
  refusal: Type.Optional(Type.String()),
  toolCalls: Type.Optional(Type.Array(ToolCall)),
});
export type AssistantMessage = Static<typeof AssistantMessage>;

/** The text of a message, without its images and audio. */
export function textOf(content: ChatMessage['content']): string {
  if (typeof content === 'string') return content;
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}
