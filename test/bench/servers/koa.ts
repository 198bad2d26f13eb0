import { createServer, type IncomingMessage } from 'node:http';
import { Router } from '@koa/router';
import Koa from 'koa';

/* Baseline: the same route in one process, as one would write it with Koa and no sandbox. */

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}

const app = new Koa();
const router = new Router();
router.post('/x/echo', async (ctx) => {
  ctx.body = await readJson(ctx.req);
});
app.use(router.routes());
export default createServer(app.callback());
