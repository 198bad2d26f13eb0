import type { ServerResponse } from 'node:http';
import { type SeenRequest, type ServerBehaviour, sendJson, sendStream, StandInServer } from './server.js';

/** What the stand-in can be told to do, beside what any server can. */
export interface OpenAiBehaviour extends ServerBehaviour {
  /** The words of the answer; the last user message is repeated otherwise. */
  words: string[];
  /** Pieces of the arguments, as they are streamed. */
  toolCall: { id: string; name: string; pieces: string[] };
  /** An event `{"error": …}` after the second chunk. */
  midStreamError: { message: string; type: string; code: string | null };
  /** An error answer with OpenAI's body. */
  error: { status: number; message: string; type: string; code: string | null; retryAfter?: number };
  /** The key that has to be sent. */
  apiKey: string;
  /** Ends lines with CRLF and puts comments between the events. */
  crlf: boolean;
  /** Sends base64 embeddings whatever was asked. */
  base64Embeddings: boolean;
  /** Leaves the finish reason out, but ends with [DONE]. */
  noFinish: boolean;
}

const MODELS = ['gpt-stand-in', 'text-embedding-stand-in', 'org/model:tag'];

interface ChatBody {
  model: string;
  messages: { role: string; content: unknown }[];
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  [option: string]: unknown;
}

/** A server that answers as OpenAI does, for the endpoints that Atoll uses. Its base URL is `${url}/v1`. */
export async function startOpenAiStandIn(behaviour: Partial<OpenAiBehaviour> = {}) {
  const server: StandInServer<OpenAiBehaviour> = new StandInServer((request, response) =>
    answer(server.behaviour, request, response),
  );
  server.behave(behaviour);
  return server.listen();
}

export type OpenAiStandIn = Awaited<ReturnType<typeof startOpenAiStandIn>>;

function answer(behaviour: Partial<OpenAiBehaviour>, request: SeenRequest, response: ServerResponse): unknown {
  const fail = (status: number, message: string, type: string, code: string | null) =>
    sendJson(response, status, { error: { message, type, param: null, code } });
  if (behaviour.apiKey && request.headers.authorization !== `Bearer ${behaviour.apiKey}`) {
    return fail(401, 'Incorrect API key provided.', 'invalid_request_error', 'invalid_api_key');
  }
  const { error } = behaviour;
  if (error) {
    if (error.retryAfter !== undefined) response.setHeader('retry-after', String(error.retryAfter));
    return fail(error.status, error.message, error.type, error.code);
  }
  const { model } = (request.body ?? {}) as { model?: string };
  if (model !== undefined && !MODELS.includes(model)) {
    return fail(
      404,
      `The model \`${model}\` does not exist or you do not have access to it.`,
      'invalid_request_error',
      'model_not_found',
    );
  }
  switch (`${request.method} ${request.path}`) {
    case 'GET /v1/models':
      return sendJson(response, 200, {
        object: 'list',
        data: MODELS.map((id) => ({ id, object: 'model', created: 1_700_000_000, owned_by: 'stand-in' })),
      });
    case 'POST /v1/chat/completions':
      return chat(request.body as ChatBody, behaviour, response);
    case 'POST /v1/embeddings':
      return embed(request.body as { model: string; input: string[]; dimensions?: number }, behaviour, response);
    default:
      return fail(404, `Invalid URL (${request.method} ${request.path})`, 'invalid_request_error', null);
  }
}

const USAGE = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12, prompt_tokens_details: { cached_tokens: 2 } };

async function chat(body: ChatBody, behaviour: Partial<OpenAiBehaviour>, response: ServerResponse): Promise<void> {
  const said = String(body.messages.findLast(({ role }) => role === 'user')?.content ?? '');
  const { toolCall } = behaviour;
  const words = behaviour.words ?? (toolCall ? [] : (`You said: ${said}`.match(/\s*\S+/g) ?? []));
  const finish = toolCall ? 'tool_calls' : 'stop';
  const head = { id: 'chatcmpl-stand-in', created: 1_700_000_000, model: body.model };
  if (!body.stream) {
    const call = toolCall && {
      id: toolCall.id,
      type: 'function',
      function: { name: toolCall.name, arguments: toolCall.pieces.join('') },
    };
    const message = {
      role: 'assistant',
      content: toolCall ? null : words.join(''),
      refusal: null,
      ...(call && { tool_calls: [call] }),
    };
    return sendJson(response, 200, {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
      usage: USAGE,
    });
  }
  const chunk = (delta: object, finish_reason: string | null = null) => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason }],
  });
  const events: unknown[] = [
    chunk({ role: 'assistant', content: '' }),
    ...words.map((content) => chunk({ content })),
    ...callDeltas(behaviour).map((delta) => chunk({ tool_calls: [delta] })),
    ...(behaviour.noFinish ? [] : [chunk({}, finish)]),
    ...(body.stream_options?.include_usage
      ? [{ ...head, object: 'chat.completion.chunk', choices: [], usage: USAGE }]
      : []),
  ];
  if (behaviour.midStreamError)
    events.splice(2, events.length, { error: { param: null, ...behaviour.midStreamError } });
  else events.push('[DONE]');
  const end = behaviour.crlf ? '\r\n' : '\n';
  const texts = events.map((event) => {
    const data = typeof event === 'string' ? event : JSON.stringify(event);
    return `${behaviour.crlf ? `: keep-alive${end}${end}` : ''}data: ${data}${end}${end}`;
  });
  return sendStream(response, 'text/event-stream; charset=utf-8', texts, behaviour);
}

function callDeltas({ toolCall }: Partial<OpenAiBehaviour>): object[] {
  if (!toolCall) return [];
  const { id, name, pieces } = toolCall;
  return [
    { index: 0, id, type: 'function', function: { name, arguments: '' } },
    ...pieces.map((text) => ({ index: 0, function: { arguments: text } })),
  ];
}

function embed(
  body: { input: string[]; dimensions?: number; model: string },
  behaviour: Partial<OpenAiBehaviour>,
  response: ServerResponse,
): void {
  const vectors = body.input.map((text) =>
    Array.from({ length: body.dimensions ?? 4 }, (_, index) => (text.length + index) / 64),
  );
  const data = vectors.map((vector, index) => {
    const embedding = behaviour.base64Embeddings
      ? Buffer.from(new Float32Array(vector).buffer).toString('base64')
      : vector;
    return { object: 'embedding', index, embedding };
  });
  // In another order than asked: the index says what belongs together.
  sendJson(response, 200, {
    object: 'list',
    data: data.reverse(),
    model: body.model,
    usage: { prompt_tokens: 3, total_tokens: 3 },
  });
}
