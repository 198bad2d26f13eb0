import type { CloudEvent } from '@atoll/plugin-sdk/contract';

/**
 * Carries events between the buses of several kernels. A bus delivers its own events itself; a transport brings them to the others,
 * never back to where they came from. Order is kept per sender.
 */
export interface EventTransport {
  /** Sends an event that was published here. May fail or take its time: nobody waits for it. A durable one reaches whoever comes back. */
  publish(event: CloudEvent, durable: boolean): void | Promise<void>;
  /** Keeps a durable event as part of the transaction that the caller is in, and sends it once that is committed. */
  keep?(event: CloudEvent): Promise<void>;
  /** Sets who is called with events that were published elsewhere. */
  onReceive(listener: (event: CloudEvent) => void): void;
  close(): Promise<void>;
}

/** What the local transports of one process share. */
export class LocalHub {
  readonly members = new Set<LocalTransport>();
}

/** Carries events between buses of one process that share a hub. With a hub of its own, which is the default, it has nobody to talk to. */
export class LocalTransport implements EventTransport {
  #listener: ((event: CloudEvent) => void) | undefined;

  constructor(private readonly hub: LocalHub = new LocalHub()) {
    hub.members.add(this);
  }

  publish(event: CloudEvent): void {
    for (const member of this.hub.members) if (member !== this) member.#listener?.(event);
  }

  onReceive(listener: (event: CloudEvent) => void): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.hub.members.delete(this);
  }
}
