import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { Agent, buildConnector } from 'undici';
import type { Reach } from './allow-list.js';
import { addressProblem } from './ssrf.js';

export type Lookup = (host: string) => Promise<LookupAddress[]>;

/** All addresses of a name, as the system knows them. */
export const lookupAll: Lookup = (host) =>
  new Promise((resolve, reject) => {
    systemLookup(host, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });

/** All in ms. */
export interface ConnectLimits {
  connectTimeoutMs: number;
  headersTimeoutMs: number;
  idleTimeoutMs: number;
}

/**
 * An HTTP agent whose connections go to checked addresses only. The socket itself gets the checked addresses from its name lookup, so
 * that there is no second lookup that could say something else; an IP literal skips lookups and is checked here.
 */
export function guardedAgent(reach: Reach, lookup: Lookup, limits: ConnectLimits): Agent {
  const connector = buildConnector({
    timeout: limits.connectTimeoutMs,
    allowH2: false,
    // Tries one address after the other: `localhost` may have ::1 first while the server has 127.0.0.1.
    autoSelectFamily: true,
    lookup: checkedLookup(reach, lookup),
  });
  return new Agent({
    allowH2: false,
    headersTimeout: limits.headersTimeoutMs,
    bodyTimeout: limits.idleTimeoutMs,
    connect(options, callback) {
      const host = options.hostname.replace(/^\[|\]$/g, '');
      const problem = isIP(host) === 0 ? undefined : addressProblem(host, reach);
      if (problem) return callback(blocked(host, problem), null);
      connector(options, (error, socket) => {
        if (error) return callback(error, null);
        const refusal = socketRefusal(host, socket as Socket, reach);
        if (!refusal) return callback(null, socket as Socket);
        (socket as Socket).destroy();
        callback(refusal, null);
      });
    },
  });
}

const blocked = (host: string, problem: string) =>
  new AtollError('NET_ADDRESS_BLOCKED', `${host} can't be reached: ${problem}.`);

/** The last word has the address that was really connected to. */
function socketRefusal(host: string, { remoteAddress }: Socket, reach: Reach): AtollError | undefined {
  if (remoteAddress === undefined) return new AtollError('NET_FAILED', `${host} closed the connection at once.`);
  const problem = addressProblem(remoteAddress, reach);
  return problem === undefined ? undefined : blocked(host, problem);
}

function checkedLookup(reach: Reach, lookup: Lookup): LookupFunction {
  return (host: string, options: LookupOptions, callback) => {
    lookup(host).then(
      (addresses) => {
        const allowed = addresses.filter(({ address }) => addressProblem(address, reach) === undefined);
        const first = allowed[0];
        if (!first) {
          const refused = addresses[0] && addressProblem(addresses[0].address, reach);
          callback(refused ? blocked(host, refused) : new AtollError('NET_FAILED', `${host} has no address.`), '', 0);
        } else if (options.all) callback(null, allowed);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}
