import type { ServerResponse } from 'node:http';
import { type SeenRequest, type ServerBehaviour, sendJson, sendStream, sendText, StandInServer } from './server.js';

/** What the stand-in can be told to do, beside what any server can. */
export interface OllamaBehaviour extends ServerBehaviour {
  /** The words of the answer; the last user message is repeated otherwise. */
  words: string[];
  thinking: string;
  toolCalls: { function: { name: string; arguments: Record<string, unknown> } }[];
  /** A line `{"error": …}` after the first chunk, with status 200. */
  midStreamError: string;
  /** 503, in Ollama's words. */
  busy: boolean;
  doneReason: string;
  promptEvalCount: number;
  /** Behaves like a server that does not know `truncate: false`. */
  truncatesSilently: boolean;
}

interface StandInModel {
  capabilities: string[];
  /** Longest context, in what the stand-in counts as tokens: words. */
  context: number;
  family?: string;
}

const MODELS: Record<string, StandInModel> = {
  'llama3.2:latest': { capabilities: ['completion', 'tools'], context: 131_072 },
  'qwen3:8b': { capabilities: ['completion', 'tools', 'thinking'], context: 40_960 },
  'gpt-oss:20b': { capabilities: ['completion', 'tools', 'thinking'], context: 131_072, family: 'gptoss' },
  'llava:7b': { capabilities: ['completion', 'vision'], context: 32_768 },
  'nomic-embed-text:latest': { capabilities: ['embedding'], context: 2048 },
};

const DEFAULT_CONTEXT = 4096;

interface ChatBody {
  model: string;
  messages?: {
    role: string;
    content?: string;
    images?: unknown[];
    tool_calls?: { function: { arguments: unknown } }[];
  }[];
  stream?: boolean;
  think?: boolean | string;
  tools?: unknown[];
  truncate?: boolean;
  logprobs?: boolean;
  options?: Record<string, unknown>;
}

/** A server that answers as Ollama does, for the endpoints that Atoll uses. */
export async function startOllamaStandIn(behaviour: Partial<OllamaBehaviour> = {}) {
  const server: StandInServer<OllamaBehaviour> = new StandInServer((request, response) =>
    answer(server, request, response),
  );
  server.behave(behaviour);
  return server.listen();
}

export type OllamaStandIn = Awaited<ReturnType<typeof startOllamaStandIn>>;

function answer(server: StandInServer<OllamaBehaviour>, request: SeenRequest, response: ServerResponse): unknown {
  const { behaviour } = server;
  switch (`${request.method} ${request.path}`) {
    case 'GET /':
      return sendText(response, 200, 'text/plain; charset=utf-8', 'Ollama is running');
    case 'GET /api/version':
      return sendJson(response, 200, { version: '0.33.0' });
    case 'GET /api/tags':
      return sendJson(response, 200, { models: Object.entries(MODELS).map(toTag) });
    case 'GET /api/ps':
      return sendJson(response, 200, { models: loaded(server) });
    case 'POST /api/show':
      return show(request, response);
    case 'POST /api/chat':
      return chat(request.body as ChatBody, behaviour, response);
    case 'POST /api/embed':
      return embed(request.body as EmbedBody, behaviour, response);
    default:
      return sendText(response, 404, 'text/plain', '404 page not found');
  }
}

function find(name: string): [string, StandInModel] | undefined {
  const full = name.includes(':') ? name : `${name}:latest`;
  const model = MODELS[full];
  return model && [full, model];
}

const toTag = ([name, { capabilities, context, family = 'llama' }]: [string, StandInModel]) => ({
  name,
  model: name,
  modified_at: '2026-01-02T03:04:05.678Z',
  size: 2_019_393_189,
  digest: 'a80c4f17acd5',
  details: { format: 'gguf', family, parameter_size: '3.2B', quantization_level: 'Q4_K_M', context_length: context },
  capabilities,
});

/** Models that were asked something are loaded, with the context they were asked for. */
function loaded(server: StandInServer<OllamaBehaviour>) {
  const names = new Map<string, number>();
  for (const { body } of server.to('/api/chat')) {
    const { model, options } = body as ChatBody;
    const found = find(model);
    if (found) names.set(found[0], contextOf(found[1], options));
  }
  return [...names].map(([name, context_length]) => ({
    name,
    model: name,
    size: 1,
    size_vram: 1,
    context_length,
    expires_at: '2318-01-01T00:00:00Z',
  }));
}

const contextOf = (model: StandInModel, options: Record<string, unknown> = {}) =>
  Math.min(model.context, Number(options.num_ctx ?? DEFAULT_CONTEXT));

function show({ body }: SeenRequest, response: ServerResponse): unknown {
  const { model: name } = body as { model: string };
  const found = find(name);
  if (!found) return sendJson(response, 404, { error: `model '${name}' not found` });
  const [, { capabilities, context, family = 'llama' }] = found;
  return sendJson(response, 200, {
    modelfile: '',
    parameters: 'stop "<|eot_id|>"',
    template: '{{ .Prompt }}',
    details: { family },
    model_info: { 'general.architecture': family, [`${family}.context_length`]: context },
    capabilities,
  });
}

/** The refusals of the real server, in its words. */
function refusal(body: ChatBody, behaviour: Partial<OllamaBehaviour>): [number, string] | undefined {
  if (behaviour.busy) return [503, 'server busy, please try again.  maximum pending requests exceeded'];
  const found = find(body.model);
  if (!found) return [404, `model '${body.model}' not found`];
  const [, model] = found;
  const can = (capability: string) => model.capabilities.includes(capability);
  if (!can('completion')) return [400, `"${body.model}" does not support chat`];
  if (body.think && !can('thinking')) return [400, `"${body.model}" does not support thinking`];
  if (body.tools?.length && !can('tools')) return [400, `${body.model} does not support tools`];
  for (const { images = [], tool_calls = [] } of body.messages ?? []) {
    if (tool_calls.some((call) => typeof call.function.arguments !== 'object')) {
      return [
        400,
        'json: cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments',
      ];
    }
    if (images.some((image) => typeof image !== 'string' || !/^[A-Za-z0-9+/]+=*$/.test(image)))
      return [400, 'illegal base64 data at input byte 0'];
  }
  const { temperature } = body.options ?? {};
  if (temperature !== undefined && typeof temperature !== 'number')
    return [400, 'option "temperature" must be of type float32'];
  if (body.truncate === false && !behaviour.truncatesSilently && promptWords(body) > contextOf(model, body.options)) {
    return [400, 'the input length exceeds the context length'];
  }
  return undefined;
}

const promptWords = ({ messages = [] }: ChatBody) =>
  messages.reduce((sum, { content = '' }) => sum + (content.match(/\S+/g)?.length ?? 0), 0);

async function chat(body: ChatBody, behaviour: Partial<OllamaBehaviour>, response: ServerResponse): Promise<void> {
  const refused = refusal(body, behaviour);
  if (refused) return sendJson(response, refused[0], { error: refused[1] });
  const objects = chatObjects(body, behaviour);
  if (body.stream ?? true) {
    const lines = objects.map((object) => `${JSON.stringify(object)}\n`);
    if (behaviour.midStreamError)
      lines.splice(1, lines.length, `${JSON.stringify({ error: behaviour.midStreamError })}\n`);
    return sendStream(response, 'application/x-ndjson', lines, behaviour);
  }
  if (behaviour.midStreamError) return sendJson(response, 500, { error: behaviour.midStreamError });
  const join = (key: 'content' | 'thinking') => objects.map(({ message }) => message[key] ?? '').join('');
  const toolCalls = objects.flatMap(({ message }) => message.tool_calls ?? []);
  const message = {
    role: 'assistant',
    content: join('content'),
    ...(join('thinking') && { thinking: join('thinking') }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
  };
  sendJson(response, 200, { ...objects.at(-1), message });
}

interface ChatObject {
  message: { role: string; content: string; thinking?: string; tool_calls?: unknown[] };
  done: boolean;
  [field: string]: unknown;
}

function chatObjects(body: ChatBody, behaviour: Partial<OllamaBehaviour>): ChatObject[] {
  const head = { model: body.model, created_at: '2026-01-02T03:04:05.678Z' };
  const piece = (message: Partial<ChatObject['message']>): ChatObject => {
    return { ...head, message: { role: 'assistant', content: '', ...message }, done: false };
  };
  const said = body.messages?.findLast(({ role }) => role === 'user')?.content ?? '';
  const words = behaviour.words ?? (behaviour.toolCalls ? [] : `You said: ${said}`.match(/\s*\S+/g)) ?? [];
  const limit = Number(body.options?.num_predict ?? -1);
  const kept = limit > 0 ? words.slice(0, limit) : words;
  // Thinking is on unless it is turned off, for models that can.
  const thinks = find(body.model)?.[1].capabilities.includes('thinking') && body.think !== false;
  const thinking = behaviour.thinking ?? (thinks ? 'Let me think.' : '');
  const context = contextOf(find(body.model)![1], body.options);
  const prompt = behaviour.promptEvalCount ?? Math.min(promptWords(body), context);
  const done: ChatObject = {
    ...head,
    message: { role: 'assistant', content: '' },
    done: true,
    done_reason: behaviour.doneReason ?? (kept.length < words.length ? 'length' : 'stop'),
    total_duration: 5_000_000,
    load_duration: 1_000_000,
    // Zero counters are left out, as `omitempty` does.
    ...(prompt > 0 && { prompt_eval_count: prompt, prompt_eval_duration: 1_000_000 }),
    ...(kept.length > 0 && { eval_count: kept.length, eval_duration: 3_000_000 }),
  };
  const calls = (behaviour.toolCalls ?? []).map((call, index) => ({
    id: `call_stand${index}00`,
    function: { index, ...call.function },
  }));
  return [
    ...(thinking ? [piece({ thinking })] : []),
    ...kept.map((content) => ({
      ...piece({ content }),
      ...(body.logprobs && { logprobs: [{ token: content, logprob: -0.5 }] }),
    })),
    ...(calls.length > 0 ? [piece({ tool_calls: calls })] : []),
    done,
  ];
}

interface EmbedBody {
  model: string;
  input: string | string[];
  truncate?: boolean;
  dimensions?: number;
}

function embed(body: EmbedBody, behaviour: Partial<OllamaBehaviour>, response: ServerResponse): unknown {
  if (behaviour.busy)
    return sendJson(response, 503, { error: 'server busy, please try again.  maximum pending requests exceeded' });
  const found = find(body.model);
  if (!found) return sendJson(response, 404, { error: `model "${body.model}" not found, try pulling it first` });
  const texts = typeof body.input === 'string' ? [body.input] : body.input;
  const counts = texts.map((text) => text.match(/\S+/g)?.length ?? 0);
  if (body.truncate === false && counts.some((count) => count > found[1].context)) {
    return sendJson(response, 400, { error: 'the input length exceeds the context length' });
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  return sendJson(response, 200, {
    model: body.model,
    embeddings: texts.map((text) => unitVector(text, body.dimensions ?? 8)),
    total_duration: 1,
    load_duration: 1,
    ...(total > 0 && { prompt_eval_count: total }),
  });
}

function unitVector(text: string, dimensions: number): number[] {
  const vector = Array.from(
    { length: dimensions },
    (_, index) => (text.charCodeAt(index % Math.max(1, text.length)) || 1) + index,
  );
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
