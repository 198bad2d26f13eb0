import { addCloneRule, cloneWithTransfer } from './clone.js';
import { defineClass } from './define.js';
import { dictionary, MessageEvent } from './event.js';
import { defineHandler, EventTarget } from './event-target.js';

const KEY = Symbol('construct');

/** One end of a channel: what came for it and whether it hands that out. Its port object may change by transfer. */
interface End {
  other: End | undefined;
  port: MessagePort | undefined;
  queue: { data: unknown; ports: object[] }[];
  started: boolean;
  scheduled: boolean;
}

const newEnd = (): End => ({ other: undefined, port: undefined, queue: [], started: false, scheduled: false });

let entangle: (a: MessagePort, b: MessagePort) => void;
let take: (from: MessagePort) => { result: MessagePort; commit(): void };

/** Hands out one message per task, as the standard has it, so that other work gets its turn in between. */
function schedule(end: End): void {
  if (end.scheduled || !end.started || end.queue.length === 0) return;
  end.scheduled = true;
  setTimeout(() => {
    end.scheduled = false;
    const message = end.started && end.port ? end.queue.shift() : undefined;
    if (!message) return;
    schedule(end);
    end.port?.dispatchEvent(new MessageEvent('message', message));
  }, 0);
}

/** Ports connect code within one isolate; they lead nowhere else. */
class MessagePort extends EventTarget {
  #end: End | undefined;

  constructor(key?: symbol) {
    if (key !== KEY) throw new TypeError('Illegal constructor');
    super();
  }
  static {
    entangle = (a, b) => {
      const [first, second] = [newEnd(), newEnd()];
      Object.assign(first, { other: second, port: a });
      Object.assign(second, { other: first, port: b });
      a.#end = first;
      b.#end = second;
    };
    take = (from) => {
      if (!from.#end) throw new DOMException('The port was closed or transferred.', 'DataCloneError');
      const result = new MessagePort(KEY);
      const commit = () => {
        const end = from.#end!;
        from.#end = undefined;
        Object.assign(end, { port: result, started: false });
        result.#end = end;
      };
      return { result, commit };
    };
  }

  postMessage(message: unknown, options?: object[] | { transfer?: Iterable<object> }): void {
    if (arguments.length === 0) throw new TypeError('postMessage needs a message.');
    const transfer = [...(Array.isArray(options) ? options : (dictionary(options).transfer ?? []))] as object[];
    if (transfer.includes(this)) throw new DOMException('A port cannot send itself.', 'DataCloneError');
    const { value, moved } = cloneWithTransfer(message, transfer);
    const other = this.#end?.other;
    if (!other) return;
    other.queue.push({ data: value, ports: moved.filter((object) => object instanceof MessagePort) });
    schedule(other);
  }

  start(): void {
    if (!this.#end) return;
    this.#end.started = true;
    schedule(this.#end);
  }

  close(): void {
    const end = this.#end;
    this.#end = undefined;
    if (!end) return;
    const { other } = end;
    Object.assign(end, { other: undefined, port: undefined, queue: [] });
    if (other) other.other = undefined;
  }
}
defineHandler(MessagePort.prototype, 'message', (port) => (port as MessagePort).start());
defineHandler(MessagePort.prototype, 'messageerror');

class MessageChannel {
  readonly #ports = [new MessagePort(KEY), new MessagePort(KEY)] as const;
  constructor() {
    entangle(...this.#ports);
  }
  get port1(): MessagePort {
    return this.#ports[0];
  }
  get port2(): MessagePort {
    return this.#ports[1];
  }
}

defineClass('MessagePort', MessagePort as never);
defineClass('MessageChannel', MessageChannel);
addCloneRule({ is: (value) => value instanceof MessagePort, transfer: (value) => take(value as MessagePort) });
