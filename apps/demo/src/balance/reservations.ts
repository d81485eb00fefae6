import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Accounts } from './accounts.ts'

/** Chips set aside for a buy-in until it is committed, released, or its time is over. */
export interface Reservation {
  readonly reservationId: string
  readonly accountId: string
  readonly tableId: string
  readonly amount: number
  readonly expiresAt: number
}

export type ReservationAnswer = { readonly ok: true } | { readonly ok: false; readonly error: string }

const maxOpen = 100_000
const maxSettled = 10_000

/** Open reservations over the accounts. An open one lowers what is available, a committed one the balance. */
export class Reservations {
  readonly #accounts: Accounts
  readonly #clock: Clock
  readonly #open = new Map<string, Reservation>()
  readonly #settled = new Map<string, 'COMMITTED' | 'RELEASED'>()

  constructor(accounts: Accounts, clock: Clock) {
    this.#accounts = accounts
    this.#clock = clock
  }

  /** The balance less what is set aside; 0 for an unknown account. */
  available(accountId: string): number {
    const reserved = [...this.#current()].filter((open) => open.accountId === accountId)
    const balance = this.#accounts.get(accountId)?.balance ?? 0
    return reserved.reduce((left, open) => left - open.amount, balance)
  }

  /** Sets chips aside for `timeoutSeconds`; the reason when they are not there. */
  reserve(wish: {
    readonly accountId: string
    readonly tableId: string
    readonly amount: number
    readonly timeoutSeconds: number
  }): { readonly ok: true; readonly reservationId: string } | { readonly ok: false; readonly error: string } {
    if (!this.#accounts.get(wish.accountId)) return { ok: false, error: 'ACCOUNT_NOT_FOUND' }
    if (wish.amount > this.available(wish.accountId)) return { ok: false, error: 'INSUFFICIENT_BALANCE' }
    if (this.#open.size >= maxOpen) return { ok: false, error: 'TOO_MANY_RESERVATIONS' }
    const { accountId, tableId, amount } = wish
    const reservationId = randomUUID()
    const expiresAt = this.#clock.now() + wish.timeoutSeconds * 1000
    this.#open.set(reservationId, { reservationId, accountId, tableId, amount, expiresAt })
    return { ok: true, reservationId }
  }

  /** Takes the chips. A repeat answers ok; a released or expired one RESERVATION_NOT_FOUND. */
  commit(reservationId: string): ReservationAnswer {
    if (this.#settled.get(reservationId) === 'COMMITTED') return { ok: true }
    const open = [...this.#current()].find((candidate) => candidate.reservationId === reservationId)
    if (!open) return { ok: false, error: 'RESERVATION_NOT_FOUND' }
    const { accountId, amount, tableId } = open
    const moved = this.#accounts.move({ accountId, type: 'BUY_IN', amount, metadata: { tableId } })
    if (!moved.ok) return moved
    this.#settle(reservationId, 'COMMITTED')
    return { ok: true }
  }

  /** Frees the chips. A repeat, and an unknown one, answer ok; a committed one ALREADY_COMMITTED. */
  release(reservationId: string): ReservationAnswer {
    if (this.#settled.get(reservationId) === 'COMMITTED') return { ok: false, error: 'ALREADY_COMMITTED' }
    this.#settle(reservationId, 'RELEASED')
    return { ok: true }
  }

  #settle(reservationId: string, outcome: 'COMMITTED' | 'RELEASED'): void {
    this.#open.delete(reservationId)
    this.#settled.set(reservationId, outcome)
    for (const oldest of this.#settled.keys()) {
      if (this.#settled.size <= maxSettled) return
      this.#settled.delete(oldest)
    }
  }

  #current(): Iterable<Reservation> {
    const now = this.#clock.now()
    for (const open of this.#open.values()) if (open.expiresAt <= now) this.#open.delete(open.reservationId)
    return this.#open.values()
  }
}
