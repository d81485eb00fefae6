/**
 * Who may open a socket now, decided without waiting:
 *
 *   handshake ──▶ draining? ──▶ address blocked? ──▶ sockets: instance, not yet authenticated, address ──▶ pace ──▶ upgrade
 *
 * Addresses come as the limits count them (IPv6 by /64). Only who is let in uses up the pace.
 */
import type { IncomingMessage } from 'node:http'
import { LRUCache } from 'lru-cache'

/** Why a sane handshake is refused for now. */
export type AdmissionRefusal =
  | 'draining'
  | 'address_blocked'
  | 'capacity'
  | 'unauthenticated_capacity'
  | 'address_capacity'
  | 'pace'
  | 'address_pace'

export interface AdmissionLimits {
  /** Sockets of the instance. */
  readonly maxConnections: number
  /** Sockets that have not authenticated yet. */
  readonly maxUnauthenticated: number
  /** Sockets of one address. */
  readonly maxPerAddress: number
  /** Handshakes of the instance per second; as many at once. */
  readonly acceptsPerSecond: number
  /** Handshakes of one address per second; at once, as many as it may have sockets. */
  readonly acceptsPerSecondPerAddress: number
}

export interface AdmissionOptions {
  readonly limits: AdmissionLimits
  readonly addressOf: (request: IncomingMessage) => string
  readonly isDraining: () => boolean
  /** An address with too many failed logins. */
  readonly isBlocked: (address: string) => boolean
  /** Milliseconds, monotonic. Default `performance.now`. */
  readonly now?: () => number
}

/** The place of one socket; both calls are idempotent. */
export interface Place {
  authenticated(): void
  leave(): void
}

export interface Admission {
  /** Why not, or undefined: then the caller must `enter`. */
  refusalOf(request: IncomingMessage): AdmissionRefusal | undefined
  /** Takes the place of a socket that was let in. */
  enter(address: string): Place
}

/** Addresses whose pace is remembered; one that is forgotten starts with a full allowance, within the instance's pace. */
const maxPaces = 20_000

export function createAdmission(options: AdmissionOptions): Admission {
  const { limits, addressOf, isDraining, isBlocked, now = () => performance.now() } = options
  const perAddress = new Map<string, number>()
  // Of each address the time at which its allowance is full again (GCRA: one number says all).
  const fullAt = new LRUCache<string, number>({ max: maxPaces })
  let instanceFullAt = 0
  let open = 0
  let unauthenticated = 0

  /** The new time of a full allowance when one more comes now; undefined when it comes too early. */
  function next(
    was: number,
    pace: { readonly perSecond: number; readonly burst: number },
  ): number | undefined {
    const interval = 1000 / pace.perSecond
    const full = Math.max(was, now()) + interval
    return full - now() > interval * pace.burst ? undefined : full
  }

  function paceRefusal(from: string): AdmissionRefusal | undefined {
    const instance = next(instanceFullAt, {
      perSecond: limits.acceptsPerSecond,
      burst: limits.acceptsPerSecond,
    })
    if (instance === undefined) return 'pace'
    const perSecond = limits.acceptsPerSecondPerAddress
    const address = next(fullAt.get(from) ?? 0, {
      perSecond,
      burst: Math.max(perSecond, limits.maxPerAddress),
    })
    if (address === undefined) return 'address_pace'
    instanceFullAt = instance
    fullAt.set(from, address)
    return undefined
  }

  const places: Places = {
    onAuthenticated() {
      unauthenticated -= 1
    },
    onLeft(address) {
      open -= 1
      const left = (perAddress.get(address) ?? 1) - 1
      if (left === 0) perAddress.delete(address)
      else perAddress.set(address, left)
    },
  }

  return {
    refusalOf(request) {
      if (isDraining()) return 'draining'
      const address = addressOf(request)
      if (isBlocked(address)) return 'address_blocked'
      if (open >= limits.maxConnections) return 'capacity'
      if (unauthenticated >= limits.maxUnauthenticated) return 'unauthenticated_capacity'
      if ((perAddress.get(address) ?? 0) >= limits.maxPerAddress) return 'address_capacity'
      return paceRefusal(address)
    },
    enter(address) {
      open += 1
      unauthenticated += 1
      perAddress.set(address, (perAddress.get(address) ?? 0) + 1)
      return new SocketPlace(address, places)
    },
  }
}

interface Places {
  onAuthenticated(): void
  onLeft(address: string): void
}

class SocketPlace implements Place {
  readonly #address: string
  readonly #places: Places
  #isOpen = true
  #isUnauthenticated = true

  constructor(address: string, places: Places) {
    this.#address = address
    this.#places = places
  }

  authenticated(): void {
    if (!this.#isUnauthenticated) return
    this.#isUnauthenticated = false
    this.#places.onAuthenticated()
  }

  leave(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.authenticated()
    this.#places.onLeft(this.#address)
  }
}
