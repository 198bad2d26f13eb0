/*
 * Runs one operation on a store and kills its own process at the given step of it: before or after a call to the file
 * system, or in the middle of a write. Without a step it prints how many there are.
 */
import fsp, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { PackageStore } from '../../registry/dist/store/package-store.js';

const [folder = '', operation = '', last = '0', file = ''] = process.argv.slice(2);
const tarball = await fsp.readFile(file);
const store = await PackageStore.open({ folder });

let steps = 0;
function step(): void {
  if (++steps === Number(last)) process.kill(process.pid, 'SIGKILL');
}

type Call = (...args: unknown[]) => Promise<unknown>;
const counted =
  (call: Call): Call =>
  async (...args) => {
    step();
    const result = await call(...args);
    step();
    return result;
  };

const calls = fsp as unknown as Record<string, Call>;
const handle = await fsp.open(file, 'r');
const methods = Object.getPrototypeOf(handle) as Record<string, Call>;
await handle.close();
for (const name of ['open', 'rename', 'rm', 'mkdir', 'writeFile']) calls[name] = counted(calls[name]!.bind(fsp));
const { writeFile, sync } = methods as unknown as Pick<FileHandle, 'writeFile' | 'sync'>;
methods.sync = async function (this: FileHandle) {
  step();
  await sync.call(this);
  step();
};
methods.writeFile = async function (this: FileHandle, ...[content]: unknown[]) {
  const bytes = content as Buffer;
  const half = Math.floor(bytes.length / 2);
  await writeFile.call(this, bytes.subarray(0, half));
  step();
  await writeFile.call(this, bytes.subarray(half));
  step();
};
syncBuiltinESMExports();

const OPERATIONS: Record<string, () => Promise<unknown>> = {
  publish: () => store.publish(tarball),
  yank: () => store.yank('sample', '1.0.0', 'bad'),
  remove: () => store.remove('sample', '1.0.0'),
  unpack: () => store.unpack('sample', '1.0.0'),
};
await OPERATIONS[operation]!();
process.stdout.write(`${steps}\n`);
