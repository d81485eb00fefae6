import { createHash } from 'node:crypto'

const plain = /^[A-Za-z0-9_.:/@-]{1,96}$/

/** The key of a user: `u:` and the id. */
export function userKey(userId: string): string {
  return `u:${userId}`
}

/** The key of an address, as `clientAddress` returns it: `ip:` and the address. */
export function addressKey(address: string): string {
  return `ip:${address}`
}

/**
 * A key as stores keep it: bounded, and without braces, which would move it to another slot of a Redis Cluster. What is
 * long or odd becomes its SHA-256; `#` marks it, so that no plain key can equal it.
 */
export function subjectOf(key: string): string {
  return plain.test(key) ? key : `#${createHash('sha256').update(key).digest('base64url')}`
}

/** A key as it is found again within one process: bounded as well, and without a pattern to match when it is short. */
export function cacheKeyOf(key: string): string {
  return key.length <= 96 && !key.startsWith('#') ? key : subjectOf(key)
}
