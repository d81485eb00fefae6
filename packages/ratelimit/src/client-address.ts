import type { IncomingMessage } from 'node:http'
import { formatIpAddress, type IpAddress, isInNetwork, parseIpAddress, parseIpNetwork } from './ip-address.ts'
import { isWhole } from './policy.ts'
import { RateLimitError } from './rate-limit-error.ts'

/** Whom to believe. Without either option the socket's address counts and headers are ignored. */
export interface ClientAddressOptions {
  /** How many proxies stand in front: the entry of X-Forwarded-For that the outermost of them wrote. 0 to 16. */
  readonly trustedHops?: number
  /** Addresses or CIDR blocks of the proxies; an entry counts only when all to its right are in them. */
  readonly trustedProxies?: readonly string[]
  /** Bits of an IPv6 address that tell clients apart: 64 (default; one subscriber's smallest network) or 1 to 128. */
  readonly ipv6Prefix?: number
}

/** The part of a request that is read. */
export type AddressedRequest = Pick<IncomingMessage, 'headers'> & {
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>
}

/** Entries of X-Forwarded-For that are looked at, from the right. */
const maxEntries = 16
const maxHeaderLength = 1024
const maxKnownPeers = 1000

/**
 * The address a client is limited by, in one canonical form: `203.0.113.7` also for `::ffff:203.0.113.7`, `2001:db8::/64`
 * for all of a network. `unknown` when the socket is gone. For many requests use `createClientAddress`.
 */
export function clientAddress(request: AddressedRequest, options: ClientAddressOptions = {}): string {
  return createClientAddress(options)(request)
}

/** `clientAddress` with the options checked once; throws INVALID_OPTIONS. */
export function createClientAddress(
  options: ClientAddressOptions = {},
): (request: AddressedRequest) => string {
  const { ipv6Prefix = 64 } = options
  if (!isWhole(ipv6Prefix, 1, 128)) throw new RateLimitError('INVALID_OPTIONS', 'ipv6Prefix must be 1 to 128')
  const isTrusted = parseTrust(options)
  /** Peers that speak for themselves. Bounded: a flood of new ones only empties it. */
  const known = new Map<string, string>()
  return (request) => {
    const { remoteAddress = '' } = request.socket
    const hit = known.get(remoteAddress)
    if (hit !== undefined) return hit
    const peer = parseIpAddress(remoteAddress)
    if (peer === undefined) return 'unknown'
    if (isTrusted(peer, 0)) return formatIpAddress(walk(peer, forwardedFor(request), isTrusted), ipv6Prefix)
    const address = formatIpAddress(peer, ipv6Prefix)
    if (known.size >= maxKnownPeers) known.clear()
    known.set(remoteAddress, address)
    return address
  }
}

/** Whether to believe what the address at this distance (0: the socket's) says about who came before it. */
type Trust = (address: IpAddress, distance: number) => boolean

function parseTrust({ trustedHops, trustedProxies }: ClientAddressOptions): Trust {
  if (trustedHops !== undefined && trustedProxies !== undefined) {
    throw new RateLimitError('INVALID_OPTIONS', 'Give trustedHops or trustedProxies, not both')
  }
  if (trustedProxies === undefined) {
    const hops = trustedHops ?? 0
    if (!isWhole(hops, 0, maxEntries))
      throw new RateLimitError('INVALID_OPTIONS', 'trustedHops must be 0 to 16')
    return (_, distance) => distance < hops
  }
  const networks = trustedProxies.map((text) => {
    const network = parseIpNetwork(text)
    if (network !== undefined) return network
    throw new RateLimitError(
      'INVALID_OPTIONS',
      `trustedProxies: ${JSON.stringify(text)} is no address or CIDR block`,
    )
  })
  return (address) => networks.some((network) => isInNetwork(address, network))
}

/** From right to left, up to the first that is not trusted. A broken entry ends the walk at the one that wrote it. */
function walk(peer: IpAddress, entries: readonly string[], isTrusted: Trust): IpAddress {
  let client = peer
  for (const [at, entry] of entries.entries()) {
    if (!isTrusted(client, at)) return client
    const address = parseIpAddress(entry)
    if (address === undefined) return client
    client = address
  }
  return client
}

/** The entries, rightmost first. Only a bounded tail is read: what a client puts in front can't push it out. */
function forwardedFor(request: AddressedRequest): readonly string[] {
  const header = request.headers['x-forwarded-for']
  if (header === undefined) return []
  const text = Array.isArray(header) ? header.join(',') : header
  const entries = text.slice(-maxHeaderLength).split(',')
  // The first one may be cut in half.
  if (text.length > maxHeaderLength) entries.shift()
  return entries
    .slice(-maxEntries)
    .map((entry) => entry.trim())
    .toReversed()
}
