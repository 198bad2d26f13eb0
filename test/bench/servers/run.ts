import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/* Runs the server of this folder that is named as the argument, on a free port, and tells the parent where it listens. */

const { default: server } = (await import(`./${process.argv[2]}.ts`)) as { default: Server };
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
