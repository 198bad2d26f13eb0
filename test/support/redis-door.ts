import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A door to a Redis server that can be shut (connections break), or held (nothing comes through any more). */
export class TestRedisDoor {
  readonly #sockets = new Set<Socket>();
  #state: 'open' | 'shut' = 'open';
  readonly #server: Server = createServer((socket) => this.#through(socket));

  private constructor(private readonly target: string) {}

  static async open(target: string): Promise<TestRedisDoor> {
    const door = new TestRedisDoor(target);
    door.#server.listen(0, '127.0.0.1');
    await once(door.#server, 'listening');
    return door;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #through(socket: Socket): void {
    if (this.#state === 'shut') return void socket.destroy();
    const { hostname, port } = new URL(this.target);
    const inner = connect(Number(port || 6379), hostname);
    for (const side of [socket, inner]) {
      this.#sockets.add(side);
      side.on('error', () => {});
      side.on('close', () => this.#sockets.delete(side));
    }
    socket.pipe(inner).pipe(socket);
  }

  shut(): void {
    this.#state = 'shut';
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Connections stay, and are silent from now on. */
  hold(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  release(): void {
    this.#state = 'open';
    // What was held has no way back together.
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.shut();
    this.#server.close();
  }
}
