import { isIPv4, isIPv6 } from 'node:net'

/** An address by its bits: 4 or 16 bytes. */
export type IpAddress = readonly number[]

/** A block of addresses: CIDR, RFC 4632. */
export interface IpNetwork {
  readonly address: IpAddress
  readonly prefix: number
}

const mappedPrefix: IpAddress = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
const nat64Prefix: IpAddress = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]
/** An IPv6 address with zone and port is shorter. */
const maxLength = 80

/**
 * Reads an address as proxies write them: with or without port, brackets and zone. IPv4-mapped (RFC 4291) and NAT64
 * (RFC 6052, well-known prefix) addresses become the IPv4 address they stand for. Else undefined.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  const bytes = parseBytes(text)
  if (bytes?.length !== 16) return bytes
  return startsWith(bytes, mappedPrefix) || startsWith(bytes, nat64Prefix) ? bytes.slice(12) : bytes
}

/**
 * Reads `10.0.0.0/8` or `10.0.0.1`. Undefined when it is neither, and for an IPv4-mapped block shorter than /96: it
 * holds all of IPv4 and more, never what its writer meant (CVE-2026-90711).
 */
export function parseIpNetwork(text: string): IpNetwork | undefined {
  const [, base = '', length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const bytes = parseBytes(base)
  if (bytes === undefined) return undefined
  const bits = bytes.length * 8
  const prefix = length === undefined ? bits : Number(length)
  if (prefix > bits) return undefined
  if (bits === 32 || !(startsWith(bytes, mappedPrefix) || startsWith(bytes, nat64Prefix))) {
    return { address: bytes, prefix }
  }
  return prefix < 96 ? undefined : { address: bytes.slice(12), prefix: prefix - 96 }
}

/** Whether the address lies in the block; an IPv4 address is in no IPv6 block. */
export function isInNetwork(address: IpAddress, network: IpNetwork): boolean {
  if (address.length !== network.address.length) return false
  return address.every((byte, at) => {
    const mask = maskAt(network.prefix, at)
    return (byte & mask) === ((network.address[at] ?? 0) & mask)
  })
}

/** The canonical text: dotted IPv4; IPv6 by RFC 5952, cut to `ipv6Prefix` bits and with `/prefix` when below 128. */
export function formatIpAddress(address: IpAddress, ipv6Prefix: number): string {
  if (address.length === 4) return address.join('.')
  const cut = address.map((byte, at) => byte & maskAt(ipv6Prefix, at))
  const groups = Array.from({ length: 8 }, (_, at) => ((cut[at * 2] ?? 0) << 8) | (cut[at * 2 + 1] ?? 0))
  return ipv6Prefix === 128 ? compress(groups) : `${compress(groups)}/${ipv6Prefix}`
}

function parseBytes(text: string): IpAddress | undefined {
  if (text.length > maxLength) return undefined
  const bare = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? text
  if (isIPv4(bare)) return bare.split('.').map(Number)
  const address = bare.replace(/%.*$/s, '')
  return isIPv6(address) ? bytesOfIpv6(address) : undefined
}

function bytesOfIpv6(text: string): IpAddress {
  const [head = '', tail] = text.split('::')
  const start = bytesOfGroups(head)
  if (tail === undefined) return start
  const end = bytesOfGroups(tail)
  return [...start, ...Array.from({ length: 16 - start.length - end.length }, () => 0), ...end]
}

function bytesOfGroups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

function startsWith(bytes: IpAddress, prefix: IpAddress): boolean {
  return prefix.every((byte, at) => bytes[at] === byte)
}

function maskAt(prefix: number, at: number): number {
  const bits = Math.min(8, Math.max(0, prefix - at * 8))
  return (0xff << (8 - bits)) & 0xff
}

function compress(groups: readonly number[]): string {
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start += 1) {
    let end = start
    while (end < 8 && groups[end] === 0) end += 1
    if (end - start > best.length) best = { start, length: end - start }
  }
  const hex = groups.map((group) => group.toString(16))
  if (best.start < 0) return hex.join(':')
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`
}
