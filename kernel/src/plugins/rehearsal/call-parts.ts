import type { CallOutput, HostAnswer, HostCall, HostInput, Payload, RecordedCall } from './recorded-call.js';

/** The same change for every piece of a call that a client, a plugin or a host capability has given. */
export type ChangePart = <T>(part: T) => T;

export function mapCall(call: RecordedCall, change: ChangePart): RecordedCall {
  return {
    ...call,
    meta: change(call.meta),
    ...(call.principal && { principal: change(call.principal) }),
    ...(call.body && { body: mapPayload(call.body, change) }),
    output: mapOutput(call.output, change),
    hostCalls: call.hostCalls.map((one) => mapHostCall(one, change)),
  };
}

export const mapHostCall = ({ method, input, answer }: HostCall, change: ChangePart): HostCall => ({
  method,
  input: mapInput(input, change),
  answer: mapAnswer(answer, change),
});

export function mapInput(input: HostInput, change: ChangePart): HostInput {
  return {
    ...input,
    ...(input.head !== undefined && { head: change(input.head) }),
    ...(input.body && { body: mapPayload(input.body, change) }),
  };
}

export function mapOutput(output: CallOutput, change: ChangePart): CallOutput {
  return {
    ...output,
    ...(output.headers && { headers: change(output.headers) }),
    ...(output.body && { body: mapPayload(output.body, change) }),
    ...(output.chunks && { chunks: change(output.chunks) }),
    ...(output.error && { error: { code: output.error.code, message: change(output.error.message) } }),
  };
}

function mapAnswer(answer: HostAnswer, change: ChangePart): HostAnswer {
  return {
    ...answer,
    ...(answer.head !== undefined && { head: change(answer.head) }),
    ...(answer.body && { body: mapPayload(answer.body, change) }),
    ...(answer.stream && { stream: change(answer.stream) }),
    ...(answer.error && { error: { ...change(answer.error), code: answer.error.code } }),
  };
}

function mapPayload(payload: Payload, change: ChangePart): Payload {
  if ('json' in payload) return { json: change(payload.json) };
  return 'text' in payload ? { text: change(payload.text) } : payload;
}
