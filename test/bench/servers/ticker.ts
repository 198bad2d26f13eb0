import { createServer } from 'node:http';

/* An upstream that streams as language models do: a small event every few ms, with the time it was sent at. */

const EVERY_MS = 5;
export default createServer((request, response) => {
  const count = Number(new URL(request.url ?? '/', 'http://localhost').searchParams.get('chunks') ?? 100);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let sent = 0;
  const timer = setInterval(() => {
    response.write(`data: {"sent":${performance.timeOrigin + performance.now()}}\n\n`);
    if (++sent < count) return;
    clearInterval(timer);
    response.end();
  }, EVERY_MS);
  response.on('close', () => clearInterval(timer));
});
