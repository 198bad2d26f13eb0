import { AtollError } from '@atoll/plugin-sdk';
import { type ChatInput, type Tool, type ToolCall, textOf } from '@atoll/plugin-sdk/services/llm-provider';
import { Evidence } from './evidence.js';
import { makeValue } from './generate.js';
import type { Schema } from './schema.js';
import { sentencesOf } from './sentences.js';
import { termsOf } from './words.js';

/** A shared word in the name counts twice; this much is needed to call a tool unasked. */
const THRESHOLD = 2;

/** The call to make, if the request asks for one or its wording matches a tool. */
export function chooseCall(input: ChatInput): ToolCall | undefined {
  const { tools = [], toolChoice = 'auto', messages } = input;
  if (tools.length === 0 || toolChoice === 'none') return undefined;
  const asked = textOf(messages.findLast(({ role }) => role === 'user')?.content ?? '');
  const said = new Set(termsOf(asked));
  const ranked = tools.map((tool) => ({ tool, score: score(tool, said) })).sort((a, b) => b.score - a.score);
  if (typeof toolChoice === 'object') {
    const named = tools.find(({ name }) => name === toolChoice.name);
    if (!named)
      throw new AtollError('BAD_REQUEST', `tool_choice names "${toolChoice.name}", which is not among the tools.`);
    return makeCall(named, asked, messages.length);
  }
  if (toolChoice === 'required') return makeCall(ranked[0]!.tool, asked, messages.length);
  // A result that has just come in is to be answered from, not asked for again.
  if (messages.at(-1)?.role === 'tool' || ranked[0]!.score < THRESHOLD) return undefined;
  return makeCall(ranked[0]!.tool, asked, messages.length);
}

/** How much of the tool's wording the text shares. */
function score(tool: Tool, said: ReadonlySet<string>): number {
  const named = new Set(termsOf(tool.name.replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2').replaceAll('_', ' ')));
  let sum = 0;
  for (const term of named) if (said.has(term)) sum += 2;
  for (const term of new Set(termsOf(tool.description ?? ''))) if (said.has(term) && !named.has(term)) sum += 1;
  return sum;
}

function makeCall(tool: Tool, text: string, position: number): ToolCall {
  const schema = (tool.parameters ?? {}) as Schema;
  // Strict tools and those that declare no required parameter are still called: with what the text tells.
  const optional = tool.strict ? 'all' : 'evident';
  try {
    const value = makeValue(
      { ...schema, type: 'object' },
      { root: schema, evidence: new Evidence(sentencesOf(text).join('\n')), optional },
    );
    return { id: `call_${tool.name}_${position}`, name: tool.name, arguments: JSON.stringify(value) };
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
    throw new AtollError(
      'UNSUPPORTED',
      `The built-in model cannot fill the parameters of "${tool.name}": ${error.message}.`,
    );
  }
}
