import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

/** A proxy adds the address it sees at the end; what is before it the client may have made up. */
export function clientAddress(req: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? req.headers['x-forwarded-for'] : undefined;
  return forwarded?.toString().split(',').at(-1)?.trim() || (req.socket.remoteAddress ?? 'unknown');
}

/** What one client controls: an IPv4 address, or the /64 network of an IPv6 one. */
export function addressBlock(address: string): string {
  if (!ipaddr.isValid(address)) return address.slice(0, 100);
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${(parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
