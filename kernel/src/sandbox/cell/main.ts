import { writeSync } from 'node:fs';
import { IsolatedVmEngine } from '../engine/isolated-vm.js';
import { loadPrelude } from '../prelude/load.js';
import { socketOnFd } from '../protocol/frame-socket.js';
import { Cell } from './cell.js';

/*
 * A cell process: hosts isolates for the kernel, over the socket it inherits as fd 3. It holds no secrets and decides nothing;
 * when the kernel goes away, so does it.
 */
const KERNEL_FD = 3;

process.title = 'atoll-cell';
// The terminal's Ctrl-C reaches the whole process group, but the kernel decides when its cells end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const socket = socketOnFd(KERNEL_FD);
const cell = new Cell(new IsolatedVmEngine(loadPrelude()), socket, () => process.kill(process.pid, 'SIGKILL'));
// A bug here must end as this cell's crash, with its reason in the kernel's log, and nothing half-alive left.
process.on('uncaughtException', (error) => {
  writeSync(2, `cell: ${error.stack ?? error.message}\n`);
  process.kill(process.pid, 'SIGKILL');
});
cell.announce();
