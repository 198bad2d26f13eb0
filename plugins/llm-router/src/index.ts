import { definePlugin } from '@atoll/plugin-sdk';
import { addChatRoute } from './api/chat-route.js';
import { addCompletionsRoute } from './api/completions-route.js';
import { addEmbeddingsRoute } from './api/embeddings-route.js';
import { addModelRoutes } from './api/models-route.js';
import type { Config } from './config.js';
import { provideLlm } from './llm-service.js';
import { addResponsesRoute } from './responses/route.js';
import { Router } from './router.js';

export default definePlugin<Config>(({ config, http, log, services }) => {
  const router = new Router(services, config, log);
  addChatRoute(http, router);
  addCompletionsRoute(http, router);
  addEmbeddingsRoute(http, router);
  addModelRoutes(http, router, config);
  addResponsesRoute(http, router);
  provideLlm(services, router);
});
