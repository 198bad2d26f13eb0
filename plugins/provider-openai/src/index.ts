import { definePlugin } from '@atoll/plugin-sdk';
import { llmProvider } from '@atoll/plugin-sdk/services/llm-provider';
import { toOutput } from './answer.js';
import { Connection } from './connection.js';
import { embed } from './embeddings.js';
import { listModels } from './list.js';
import { toBody } from './request.js';
import { readStream } from './stream.js';

interface Config {
  baseUrl: string;
}

const PATH = '/chat/completions';

export default definePlugin<Config>(({ config, secrets, services }) => {
  const connection = new Connection(config.baseUrl, secrets);

  services.provide(llmProvider, {
    models: (_input, { signal }) => listModels(connection, signal),
    async chat(input, { signal }) {
      return toOutput(await connection.json(PATH, toBody(input, connection.official), signal), input.model);
    },
    async *chatStream(input, { signal }) {
      const body = { ...toBody(input, connection.official), stream: true, stream_options: { include_usage: true } };
      yield* readStream(await connection.send(PATH, body, signal), connection.baseUrl);
    },
    embed: (input, { signal }) => embed(connection, input, signal),
  });
});
