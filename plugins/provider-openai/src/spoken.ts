import { listOf, stringOf } from '@atoll/plugin-sdk/services/llm-provider';

interface Part {
  type?: unknown;
  text?: unknown;
  thinking?: unknown;
}

/** What was said: text, or with some servers a list of parts. */
export function toText(content: unknown): string {
  return stringOf(content) ?? join(content, ({ type, text }) => (type === 'thinking' ? '' : stringOf(text)));
}

/** Reasoning has a field of its own, whose name differs, or comes as parts of the content. */
export function thinkingOf(spoken: Record<string, unknown> | null | undefined): string | undefined {
  const { reasoning_content, reasoning, content } = spoken ?? {};
  const parts = () => join(content, ({ thinking }) => stringOf(thinking) ?? toText(thinking));
  return stringOf(reasoning_content) || stringOf(reasoning) || parts() || undefined;
}

const join = (parts: unknown, textOf: (part: Part) => string | undefined): string =>
  listOf<Part | null>(parts)
    .map((part) => (part && textOf(part)) ?? '')
    .join('');
