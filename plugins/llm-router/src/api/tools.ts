import type { ResponseFormat, Tool, ToolChoice } from '@atoll/plugin-sdk/services/llm-provider';
import { asArray, asObject } from './messages.js';
import { badRequest, unsupported } from './problem.js';
import { isUnset } from './schema.js';

/** `tools` of a chat (`{type, function: {…}}`) or of a response (`{type, name, …}`). */
export function readTools(value: unknown): Tool[] | undefined {
  if (isUnset(value)) return undefined;
  return asArray(value, 'tools').map((item, index) => {
    const at = `tools[${index}]`;
    const tool = asObject(item, at);
    if (tool.type !== 'function')
      throw unsupported(`${at}: only tools of type "function" are supported, not "${String(tool.type)}".`);
    const { name, description, parameters, strict } = isUnset(tool.function)
      ? tool
      : asObject(tool.function, `${at}.function`);
    if (typeof name !== 'string' || name === '') throw badRequest(`${at} has no name.`);
    return {
      name,
      ...(typeof description === 'string' && { description }),
      ...(!isUnset(parameters) && { parameters: asObject(parameters, `${at}.parameters`) }),
      ...(typeof strict === 'boolean' && { strict }),
    };
  });
}

export function readToolChoice(value: unknown, tools: Tool[] | undefined): ToolChoice | undefined {
  if (isUnset(value)) return undefined;
  if (value === 'auto' || value === 'none') return value;
  if (value !== 'required') {
    const choice = asObject(value, 'tool_choice (auto, none, required or a function)');
    const { name } = isUnset(choice.function) ? choice : asObject(choice.function, 'tool_choice.function');
    if (choice.type !== 'function' || typeof name !== 'string')
      throw unsupported('tool_choice can be auto, none, required or name one function.');
    if (!tools?.some((tool) => tool.name === name))
      throw badRequest(`tool_choice names "${name}", which is not among the tools.`);
    return { name };
  }
  if (!tools?.length) throw badRequest('tool_choice is "required", but there are no tools.');
  return value;
}

/** `response_format` of a chat, or `text.format` of a response, where the schema is not nested. */
export function readFormat(value: unknown, at: string): ResponseFormat | undefined {
  if (isUnset(value)) return undefined;
  const format = asObject(value, at);
  switch (format.type) {
    case 'text':
      return undefined;
    case 'json_object':
      return { type: 'json' };
    case 'json_schema': {
      const { name, description, schema, strict } = isUnset(format.json_schema)
        ? format
        : asObject(format.json_schema, `${at}.json_schema`);
      return {
        type: 'json_schema',
        schema: asObject(schema, `${at}: schema`),
        ...(typeof name === 'string' && { name }),
        ...(typeof description === 'string' && { description }),
        ...(typeof strict === 'boolean' && { strict }),
      };
    }
    default:
      throw unsupported(`${at}.type can be text, json_object or json_schema, not "${String(format.type)}".`);
  }
}
