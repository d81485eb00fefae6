import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type AddressedRequest, clientAddress, createClientAddress } from '../src/client-address.ts'
import { RateLimitError } from '../src/index.ts'

function request(
  remoteAddress: string | undefined,
  forwardedFor?: string | readonly string[],
): AddressedRequest {
  return {
    headers:
      forwardedFor === undefined
        ? {}
        : { 'x-forwarded-for': typeof forwardedFor === 'string' ? forwardedFor : [...forwardedFor] },
    socket: { remoteAddress },
  }
}

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::ffff:cb00:7107', '203.0.113.7'],
  ['::FFFF:CB00:7107', '203.0.113.7'],
  ['64:ff9b::203.0.113.7', '203.0.113.7'],
  ['2001:db8:0:0:1::1', '2001:db8::/64'],
  ['2001:db8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:1::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['::1', '::/64'],
])('the socket address %s is %s', (address, expected) => {
  expect(clientAddress(request(address))).toBe(expected)
})

test('a socket that is gone is unknown', () => {
  expect(clientAddress(request(undefined))).toBe('unknown')
})

test('10 000 addresses of one IPv6 /64 behind a proxy are one client, other networks are others', () => {
  const addressOf = createClientAddress({ trustedHops: 1 })
  const rotated = new Set<string>()
  for (let host = 0; host < 10_000; host += 1) {
    rotated.add(addressOf(request('10.0.0.1', `2001:db8:1:2::${host.toString(16)}`)))
  }
  expect([...rotated]).toEqual(['2001:db8:1:2::/64'])
  expect(addressOf(request('10.0.0.1', '2001:db8:1:3::1'))).toBe('2001:db8:1:3::/64')
})

test('all of an address can be had for a log', () => {
  expect(clientAddress(request('2001:db8:0:0:1:0:0:1'), { ipv6Prefix: 128 })).toBe('2001:db8::1:0:0:1')
})

test('an untrusted peer is believed nothing', () => {
  for (const header of ['1.1.1.1', 'garbage', Array.from({ length: 100 }, () => '1.1.1.1').join(', ')]) {
    expect(clientAddress(request('203.0.113.7', header))).toBe('203.0.113.7')
    expect(clientAddress(request('203.0.113.7', header), { trustedProxies: ['10.0.0.0/8'] })).toBe(
      '203.0.113.7',
    )
  }
})

test.each([
  ['one proxy: its own entry, whatever stands before', 1, 'evil, 1.1.1.1, 203.0.113.9', '203.0.113.9'],
  ['two proxies', 2, '1.1.1.1, 203.0.113.9, 10.0.0.2', '203.0.113.9'],
  ['fewer entries than hops', 3, '203.0.113.9', '203.0.113.9'],
  ['a port', 1, '203.0.113.9:4711', '203.0.113.9'],
  ['brackets and a port', 1, '[2001:db8::9]:4711', '2001:db8::/64'],
  ['garbage: the one that wrote it', 1, '1.1.1.1, <script>', '10.0.0.1'],
  ['an empty header', 1, '', '10.0.0.1'],
  ['two header fields', 1, ['1.1.1.1', '203.0.113.9'], '203.0.113.9'],
  ['100 entries: the last ones', 1, `${'1.1.1.1, '.repeat(100)}203.0.113.9`, '203.0.113.9'],
] as const)('trusted hops: %s', (...[, trustedHops, header, expected]) => {
  expect(clientAddress(request('10.0.0.1', header), { trustedHops })).toBe(expected)
})

test('trusted proxies: from right to left, up to the first that is none', () => {
  const addressOf = createClientAddress({ trustedProxies: ['10.0.0.0/8', '2001:db8:aa::/48', '192.0.2.1'] })
  expect(addressOf(request('::ffff:10.0.0.1', '1.1.1.1, 203.0.113.9, 192.0.2.1, 2001:db8:aa:1::1'))).toBe(
    '203.0.113.9',
  )
  expect(addressOf(request('11.0.0.1', '1.1.1.1'))).toBe('11.0.0.1')
})

test('a mapped block is the IPv4 block it stands for, and refused when it would be more than that', () => {
  const addressOf = createClientAddress({ trustedProxies: ['::ffff:10.0.0.0/104'] })
  expect(addressOf(request('10.1.2.3', '1.1.1.1'))).toBe('1.1.1.1')
  expect(addressOf(request('11.1.2.3', '1.1.1.1'))).toBe('11.1.2.3')
  for (const block of [
    '::ffff:10.0.0.0/8',
    '::ffff:0:0/95',
    '10.0.0.0/33',
    '10.0.0/8',
    'x',
    '',
    '10.0.0.0/8/8',
  ]) {
    expect(() => createClientAddress({ trustedProxies: [block] })).toThrow(RateLimitError)
  }
})

test('an IPv6 block, even of everything, holds no IPv4 address', () => {
  expect(clientAddress(request('203.0.113.7', '1.1.1.1'), { trustedProxies: ['::/0'] })).toBe('203.0.113.7')
})

test('refuses options that contradict each other or mean nothing', () => {
  for (const options of [{ trustedHops: 1, trustedProxies: [] }, { trustedHops: -1 }, { ipv6Prefix: 0 }]) {
    expect(() => createClientAddress(options)).toThrow(RateLimitError)
  }
})

test('what a client puts in front never changes the answer', () => {
  const addressOf = createClientAddress({ trustedHops: 1 })
  fc.assert(
    fc.property(fc.string({ maxLength: 3000 }), (junk) => {
      expect(addressOf(request('10.0.0.1', `${junk}, 203.0.113.9`))).toBe('203.0.113.9')
    }),
  )
})

test('the four ways to write an IPv4 address are one client, and different ones stay apart', () => {
  const octet = fc.integer({ min: 0, max: 255 })
  fc.assert(
    fc.property(fc.tuple(octet, octet, octet, octet), ([a, b, c, d]) => {
      const dotted = `${a}.${b}.${c}.${d}`
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
      for (const text of [dotted, `::ffff:${dotted}`, `::ffff:${hex}`, `64:ff9b::${hex}`]) {
        expect(clientAddress(request(text))).toBe(dotted)
      }
    }),
  )
})
