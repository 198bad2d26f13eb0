import { Agent, request } from 'node:http';
import WebSocket from 'ws';
import type { TestKernel } from '../support/kernel.js';

/* Clients of one plugin at a constant rate: JSON requests, event streams, and calls over WebSockets. */

/** Of each second's clients. */
const SHARES = { json: 200, stream: 50, socket: 50 };
export const RATE = SHARES.json + SHARES.stream + SHARES.socket;
const SOCKETS = 5;
/** What the plugin streams. */
export const EVENTS = 5;

export type Kind = keyof typeof SHARES;

export interface Outcome {
  /** How long each took from the moment at which it was due, in ms. */
  times: Record<Kind, number[]>;
  failures: string[];
}

/** Who goes next: the kinds spread evenly over the second. */
const ORDER: Kind[] = Array.from({ length: RATE }, (_, n) =>
  n % 6 === 2 ? 'stream' : n % 6 === 5 ? 'socket' : 'json',
);

/** Sends on time, whatever has been answered, until `until` settles: a slow answer must not hide the ones behind it. */
export async function traffic(kernel: TestKernel, plugin: string, until: Promise<unknown>): Promise<Outcome> {
  const agent = new Agent({ keepAlive: true, maxSockets: 128 });
  const sockets = await Promise.all(Array.from({ length: SOCKETS }, () => SocketClient.open(kernel)));
  const outcome: Outcome = { times: { json: [], stream: [], socket: [] }, failures: [] };
  const send: Record<Kind, (n: number) => Promise<void>> = {
    json: () => get(kernel, agent, `/x/${plugin}`, (body) => body.startsWith('{"ok":true')),
    stream: () => get(kernel, agent, `/x/${plugin}/stream`, (body) => body.split('\n\n').length === EVENTS + 1),
    socket: (n) => sockets[n % SOCKETS]!.call(`${plugin}.echo`, n),
  };
  let over = false;
  const ended = until.finally(() => (over = true));
  const sent: Promise<void>[] = [];
  const began = performance.now();
  for (let n = 0; !over; n++) {
    const due = began + (n * 1_000) / RATE;
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
    const kind = ORDER[n % RATE]!;
    const one = send[kind](n).then(
      () => void outcome.times[kind].push(performance.now() - due),
      (error: Error) => void outcome.failures.push(`${kind}: ${error.message}`),
    );
    sent.push(one);
  }
  await Promise.all(sent);
  await ended;
  outcome.failures.push(...sockets.filter(({ closed }) => closed).map(() => 'a socket was closed'));
  for (const socket of sockets) socket.close();
  agent.destroy();
  return outcome;
}

function get({ url, key }: TestKernel, agent: Agent, path: string, whole: (body: string) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${key}`, accept: path.endsWith('stream') ? 'text/event-stream' : '*/*' };
    const outgoing = request(url + path, { agent, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200 && whole(body)) resolve();
        else reject(new Error(`${response.statusCode} ${body.slice(0, 200)}`));
      });
    });
    outgoing.on('error', reject).end();
  });
}

class SocketClient {
  closed = false;
  readonly #waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => this.#onMessage(String(data)));
    socket.on('close', () => {
      this.closed = true;
      for (const { reject } of this.#waiting.values()) reject(new Error('closed'));
    });
  }

  static async open({ url, key }: TestKernel): Promise<SocketClient> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers: { authorization: `Bearer ${key}` } });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return new SocketClient(socket);
  }

  call(channel: string, id: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, type: 'call', channel, data: { n: id } }));
    });
  }

  close(): void {
    this.socket.removeAllListeners('close');
    this.socket.close();
  }

  #onMessage(text: string): void {
    const message = JSON.parse(text) as { id: number; data?: { n?: number } };
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.data?.n === message.id) waiting?.resolve();
    else waiting?.reject(new Error(text.slice(0, 200)));
  }
}
