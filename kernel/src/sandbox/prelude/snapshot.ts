import { readFileSync, writeFileSync } from 'node:fs';
import ivm from 'isolated-vm';

/*
 * Builds the engine snapshot of the prelude. A process of its own: what a snapshot cannot hold ends the process, it does not
 * throw. Arguments: the prelude's file, the snapshot's file.
 */
const [source, target] = process.argv.slice(2) as [string, string];
const snapshot = ivm.Isolate.createSnapshot([{ code: readFileSync(source, 'utf8'), filename: 'atoll:prelude' }]);
writeFileSync(target, Buffer.from(snapshot.copy() as ArrayBuffer));
