/** Calls from the kernel to a cell itself (isolate 0), and what the cell tells on its own. Metas are JSON. */
export interface LoadMeta {
  m: 'load';
  isolate: number;
  name: string;
  memoryMb: number;
  /** Longest uninterrupted run of guest code, in ms. */
  timeoutMs: number;
}

export interface DisposeMeta {
  m: 'dispose';
  isolate: number;
}

export interface PingMeta {
  m: 'ping';
}

export type ControlMeta = LoadMeta | DisposeMeta | PingMeta;

/** One isolate in the answer to a ping. */
export interface IsolateReport {
  isolate: number;
  heapBytes: number;
  externalBytes: number;
  cpuMs: number;
  timers: number;
  /** Number of the run in progress and how long it has lasted; both 0 when idle. */
  run: number;
  busyMs: number;
}

export interface PingReply {
  rssBytes: number;
  isolates: IsolateReport[];
}

/** EVENTs of isolate 0: the cell is ready, or an isolate has ended by itself. */
export interface CellReady {
  m: 'ready';
  protocol: number;
  pid: number;
}

export type IsolateEnd = 'timeout' | 'memory' | 'catastrophe' | 'flooding' | 'protocol' | 'crashed';

export interface IsolateEnded {
  m: 'ended';
  isolate: number;
  why: IsolateEnd;
  message: string;
}
