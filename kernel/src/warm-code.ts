import { setFlagsFromString } from 'node:v8';

/* Flags of V8, which complains of one that it does not know, and goes on without it. */

export const FLAGS_AT_FIRST = ['--memory-reducer-gc-count=0'] as const;

export const FLAGS_ONCE_UP = [
  '--no-flush-bytecode',
  // Once its reducer has nothing more to do, the heap may only grow by a third between two full collections, and bodies on their way
  // count as heap: without this a plain echo of 10 KB keeps the collector marking all the time, at the cost of a third of the traffic.
  '--heap-growing-percent=100',
  // Under load it takes requests for something that lives long: they fill the old generation, and full collections never end.
  '--no-allocation-site-pretenuring',
] as const;

/**
 * The engine's collections at rest come when no request is there: then nothing holds the shapes of requests and sockets that the code is
 * compiled for. What they would free, `collectWhenIdle` frees later. To be called before anything else: a thread that has already had
 * one of them finds that it is above the limit, and the engine ends the process for it.
 */
export function collectNothingAtRest(): void {
  for (const flag of FLAGS_AT_FIRST) setFlagsFromString(flag);
}

/**
 * What is compiled for traffic outlasts its pauses: without this, the engine throws away most of it some seconds after the last
 * request, and after each pause a request costs three times as much until everything is compiled anew, which takes seconds of load.
 * To be called once the server is up, so that what only the start needed is not kept.
 */
export function keepCodeWarm(): void {
  for (const flag of FLAGS_ONCE_UP) setFlagsFromString(flag);
}
