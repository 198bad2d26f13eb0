import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { PGlite } from '@electric-sql/pglite';
import { collectGarbage } from '../../collect-garbage.js';
import { collectWhenIdle } from '../../idle-collector.js';
import { keepLogShort } from './checkpoints.js';
import { watchDisk } from './disk-guard.js';
import { openEngine } from './engine.js';
import type { FromWorker, ToWorker, WorkerInput } from './messages.js';
import { SessionMux } from './session-mux.js';

/* The thread that has the embedded database. One session, shared by the connections that the main thread attaches. */

const main = parentPort!;
const input = workerData as WorkerInput;
const tell = (message: FromWorker) => main.postMessage(message);

/** For the one session, and so for all connections. See connect.ts for pgvector's, which a server gets with each connection. */
const SESSION = [
  "set time zone 'UTC'",
  'set client_min_messages = warning',
  'set hnsw.iterative_scan = relaxed_order',
  'set hnsw.ef_search = 100',
];

function serve(db: PGlite, version: string): void {
  const mux = new SessionMux((request) => db.execProtocolRaw(request, { syncToFs: false }), {
    idleTransactionMs: input.idleTransactionMs,
    onBroken: (reason) => tell({ failed: reason }),
    parameters: {
      server_version: version,
      server_encoding: 'UTF8',
      client_encoding: 'UTF8',
      standard_conforming_strings: 'on',
      integer_datetimes: 'on',
      DateStyle: 'ISO, MDY',
      TimeZone: 'UTC',
    },
  });
  keepLogShort(db, mux, input.dataDir);
  if (input.dataDir !== undefined)
    watchDisk(input.dataDir, (full) => {
      mux.exclusive(() => db.exec(`set default_transaction_read_only = ${full ? 'on' : 'off'}`)).catch(() => {});
    });
  main.on('message', (message: ToWorker) => {
    if ('attach' in message) attach(mux, message.attach);
    else void mux.exclusive(() => db.close()).then(() => tell({ closed: true }));
  });
}

function attach(mux: SessionMux, port: MessagePort): void {
  const connection = mux.attach({
    send: (bytes) => {
      const copy = new Uint8Array(bytes);
      port.postMessage(copy, [copy.buffer]);
    },
    close: () => port.close(),
  });
  port.on('message', (bytes: Uint8Array) => connection.receive(bytes));
  port.on('close', () => connection.closed());
}

try {
  const db = await openEngine(input);
  await db.exec(SESSION.join(';'));
  const { rows } = await db.query<{ server_version: string }>('show server_version');
  serve(db, rows[0]!.server_version);
  collectGarbage();
  collectWhenIdle();
  tell({ ready: true });
} catch (error) {
  tell({ failed: error instanceof Error ? error.message : String(error) });
}
