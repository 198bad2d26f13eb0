import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { withOwnBuffer } from './frame-socket.js';

/** Sends back what it gets on fd 3, and ends when the other side does. */
const ECHO = `
const { Socket } = require('node:net');
const socket = new Socket({ fd: 3, readable: true, writable: true });
socket.on('data', (data) => socket.write(data));
`;
const children: ReturnType<typeof spawn>[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function echo(): { child: ReturnType<typeof spawn>; given: Socket } {
  const child = spawn(process.execPath, ['-e', ECHO], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  children.push(child);
  return { child, given: child.stdio[3] as Socket };
}

describe('a child’s socket with a buffer of its own', () => {
  it('is another one, which this Node allows', () => {
    const { given } = echo();
    expect(withOwnBuffer(given)).not.toBe(given);
  });

  it('brings everything, in order, and what it brought stays as it is', async () => {
    const socket = withOwnBuffer(echo().given);
    const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
    const got: Buffer[] = [];
    let size = 0;
    const whole = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        got.push(chunk);
        size += chunk.length;
        if (size >= sent.length) resolve();
      });
    });
    socket.write(sent);
    await whole;
    expect(Buffer.concat(got).equals(sent)).toBe(true);
  });

  it('ends with the child', async () => {
    const { child, given } = echo();
    const socket = withOwnBuffer(given);
    socket.on('data', () => {});
    const closed = once(socket, 'close');
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await Promise.all([closed, exited]);
    expect(socket.destroyed).toBe(true);
  });

  it('ends the child’s end', async () => {
    const { child, given } = echo();
    const socket = withOwnBuffer(given);
    const exited = once(child, 'exit');
    const answered = once(socket, 'data');
    socket.write('x');
    await answered;
    socket.destroy();
    expect(await exited).toEqual([0, null]);
  });
});
