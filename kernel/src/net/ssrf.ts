import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Reach } from './allow-list.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Never the address of a server to talk to, whoever names it. */
const NEVER = new Set(['unspecified', 'multicast', 'broadcast']);
/** What an operator's URL may reach beside public addresses. */
const PRIVATE = new Set(['private', 'unique local', 'loopback', 'carrier grade nat']);
/** Where clouds hand out credentials to whoever asks; some of them are in private or even public ranges. */
const METADATA = new Set(
  [
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    'fd20:ce::254',
    'fe80::a9fe:a9fe',
  ].map((address) => ipaddr.parse(address).toNormalizedString()),
);
/** NAT64: the way to IPv4 servers out of an IPv6 network. */
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
/** All public IPv6 addresses are in here; what is outside is reserved, mapped or obsolete. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/** The address packets would really go to: IPv4 in IPv6 (mapped, NAT64) is unwrapped, a zone is dropped. */
function decode(text: string): Address {
  const bare = text.split('%')[0]!;
  if (isIP(bare) === 4) return ipaddr.IPv4.parse(bare);
  // Through URL, because ipaddr.js reads `::127.0.0.1` as if it were mapped.
  const address = ipaddr.IPv6.parse(new URL(`http://[${bare}]`).hostname.slice(1, -1));
  // 6to4 and Teredo also hide an IPv4 address, but nothing needs them: their ranges stay refused.
  return address.isIPv4MappedAddress() || address.match(NAT64)
    ? new ipaddr.IPv4(address.toByteArray().slice(12))
    : address;
}

function rangeOf(address: Address): string {
  if (METADATA.has(address.toNormalizedString())) return 'cloud metadata';
  const range = address.range();
  if (range !== 'unicast') return range.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return address.kind() === 'ipv6' && !(address as ipaddr.IPv6).match(GLOBAL_UNICAST) ? 'reserved' : range;
}

/**
 * Why an address must not be connected to, in words; undefined when it may be. Public addresses may. Another one needs to be named:
 * the grant is that very address, says `localhost` for the loopback, or the operator wrote the URL. A DNS name in a manifest does not
 * count: whoever owns the name chooses where it points. The words leave the address out, for plugins must not learn what internal
 * names resolve to.
 */
export function addressProblem(text: string, reach: Reach): string | undefined {
  if (isIP(text.split('%')[0]!) === 0) return 'it is no IP address';
  const address = decode(text);
  const range = rangeOf(address);
  if (range === 'unicast') return undefined;
  const named =
    !NEVER.has(range) &&
    ((reach.private && PRIVATE.has(range)) ||
      (reach.loopback && range === 'loopback') ||
      (reach.address !== undefined && sameAddress(reach.address, address)));
  return named ? undefined : `its address is in the ${range} range`;
}

const sameAddress = (named: string, address: Address): boolean =>
  decode(named).toNormalizedString() === address.toNormalizedString();
