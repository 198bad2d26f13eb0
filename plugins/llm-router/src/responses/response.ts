import type { FinishReason, Usage } from '@atoll/plugin-sdk/services/llm-provider';
import type { ErrorObject } from '../api/problem.js';
import type { ResponsesBody } from './body.js';
import { newId, type OutputItem } from './items.js';

/** A response object, as it stands at some moment of its making. */
export interface ResponseObject {
  id: string;
  object: 'response';
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed';
  output: OutputItem[];
  error: { code: string; message: string } | null;
  incomplete_details: { reason: string } | null;
  usage: unknown;
  [field: string]: unknown;
}

/** A response that has just begun; it repeats what was asked. */
export function newResponse(body: ResponsesBody, model: string): ResponseObject {
  return {
    id: newId('resp'),
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: false,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? null,
    truncation: 'disabled',
    usage: null,
  };
}

const INCOMPLETE: Partial<Record<FinishReason, string>> = {
  length: 'max_output_tokens',
  content_filter: 'content_filter',
};

export function finished(
  response: ResponseObject,
  output: OutputItem[],
  reason: FinishReason,
  usage: Usage | undefined,
): ResponseObject {
  const incomplete = INCOMPLETE[reason];
  return {
    ...response,
    status: incomplete === undefined ? 'completed' : 'incomplete',
    completed_at: Math.floor(Date.now() / 1000),
    incomplete_details: incomplete === undefined ? null : { reason: incomplete },
    output,
    usage: usage ? toUsage(usage) : null,
  };
}

export function failed(response: ResponseObject, output: OutputItem[], { code, message }: ErrorObject): ResponseObject {
  return { ...response, status: 'failed', error: { code, message }, output };
}

function toUsage({ promptTokens, completionTokens, totalTokens, cachedTokens = 0, reasoningTokens = 0 }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: totalTokens,
  };
}
