import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Reach } from './allow-list.js';
import { addressProblem } from './ssrf.js';

const REACHES: Reach[] = [{}, { loopback: true }, { private: true }];
const allowedBy = (address: string) => REACHES.map((reach) => addressProblem(address, reach) === undefined);

describe('addressProblem', () => {
  it.each([
    // address, with no reach, with localhost, with an operator's URL
    ['93.184.215.14', true, true, true],
    ['2606:4700::1111', true, true, true],
    ['::ffff:93.184.215.14', true, true, true],
    ['64:ff9b::5db8:d70e', true, true, true],
    ['127.0.0.1', false, true, true],
    ['127.1.2.3', false, true, true],
    ['::1', false, true, true],
    ['::ffff:127.0.0.1', false, true, true],
    ['::ffff:7f00:1', false, true, true],
    ['64:ff9b::7f00:1', false, true, true],
    ['10.0.0.1', false, false, true],
    ['172.16.0.1', false, false, true],
    ['192.168.1.1', false, false, true],
    ['::ffff:10.0.0.1', false, false, true],
    ['64:ff9b::a00:1', false, false, true],
    ['100.64.0.1', false, false, true],
    ['fd12:3456::1', false, false, true],
    ['169.254.169.254', false, false, false],
    ['::ffff:169.254.169.254', false, false, false],
    ['64:ff9b::a9fe:a9fe', false, false, false],
    ['169.254.170.2', false, false, false],
    ['fd00:ec2::254', false, false, false],
    ['100.100.100.200', false, false, false],
    ['168.63.129.16', false, false, false],
    ['fe80::1', false, false, false],
    ['fe80::1%eth0', false, false, false],
    ['0.0.0.0', false, false, false],
    ['0.1.2.3', false, false, false],
    ['::', false, false, false],
    ['::ffff:0.0.0.0', false, false, false],
    ['::127.0.0.1', false, false, false],
    ['224.0.0.1', false, false, false],
    ['ff02::1', false, false, false],
    ['255.255.255.255', false, false, false],
    ['192.0.2.1', false, false, false],
    ['198.18.0.1', false, false, false],
    ['240.0.0.1', false, false, false],
    ['2001:db8::1', false, false, false],
    ['2002:7f00:1::', false, false, false],
    ['2002:5db8:d70e::', false, false, false],
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', false, false, false],
    ['64:ff9b:1::7f00:1', false, false, false],
    ['fec0::1', false, false, false],
    ['4000::1', false, false, false],
    ['127.0.0.1.evil', false, false, false],
    ['', false, false, false],
  ])('%s', (address, ...expected) => {
    expect(allowedBy(address)).toEqual(expected);
  });

  it.each([
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '::ffff:127.0.0.1', true],
    ['127.0.0.1', '127.0.0.2', false],
    ['127.0.0.1', '::1', false],
    ['169.254.169.254', '169.254.169.254', true],
    ['fd00:ec2::254', 'fd00:0ec2:0:0::254', true],
    ['0.0.0.0', '0.0.0.0', false],
    ['255.255.255.255', '255.255.255.255', false],
  ])('the address %s is a name for %s: %s', (named, address, expected) => {
    expect(addressProblem(address, { address: named }) === undefined).toBe(expected);
  });

  it('does not tell which address it was', () => {
    expect(addressProblem('10.1.2.3', {})).toBe('its address is in the private range');
    expect(addressProblem('100.64.0.1', {})).toBe('its address is in the carrier grade nat range');
  });

  it('judges an IPv4 address the same in every IPv6 form that reaches it', () => {
    const hex = (high: number, low: number) => `${((high << 8) | low).toString(16)}`;
    fc.assert(
      fc.property(fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)), ([a, b, c, d]) => {
        const plain = addressProblem(`${a}.${b}.${c}.${d}`, {});
        const low = `${hex(a, b)}:${hex(c, d)}`;
        expect(addressProblem(`::ffff:${low}`, {})).toBe(plain);
        expect(addressProblem(`64:ff9b::${low}`, {})).toBe(plain);
      }),
    );
  });
});
