import type { Middleware } from 'koa';
import compress from 'koa-compress';
import type { HttpContext } from './context.js';

/** Smaller answers gain nothing from being compressed, and most are smaller. In bytes. */
export const COMPRESS_FROM = 2_048;

const compressor = compress({ threshold: COMPRESS_FROM, br: false });
const done = () => Promise.resolve();

/** Compresses what Koa is going to write, where that is worth it and the client takes it. */
export async function compressBody(ctx: HttpContext): Promise<void> {
  const body: unknown = ctx.body;
  if ((typeof body === 'string' || Buffer.isBuffer(body)) && body.length < COMPRESS_FROM) return;
  // A client may name what we don't have, and refuse what is left: it gets the answer as it is.
  const encoding = ctx.acceptsEncodings('gzip', 'deflate', 'identity');
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    ctx.vary('Accept-Encoding');
    return;
  }
  await compressor(ctx as Parameters<typeof compressor>[0], done);
}

/** For the kernel's own routes; answers of plugins that are not written by Koa are left alone: see reply.ts. */
export function compressLarge(): Middleware {
  return async (ctx, next) => {
    await next();
    if (ctx.respond !== false) await compressBody(ctx);
  };
}
