import { createHash, randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'

/** Why chips did not move. */
export type AccountRefusal = 'ACCOUNT_NOT_FOUND' | 'INSUFFICIENT_BALANCE' | 'INVALID_AMOUNT' | 'ACCOUNT_LIMIT'

export type TransactionType = 'DEPOSIT' | 'BONUS' | 'FREEROLL' | 'WITHDRAW' | 'BUY_IN' | 'CASH_OUT'

/** One movement of chips. Times are ISO 8601; `amount` is positive, the type says which way it went. */
export interface Transaction {
  readonly transactionId: string
  readonly type: TransactionType
  readonly amount: number
  readonly balanceBefore: number
  readonly balanceAfter: number
  readonly status: 'COMPLETED'
  readonly createdAt: string
  readonly completedAt: string
  readonly metadata: Readonly<Record<string, string>>
}

/** A ledger line: `amount` is signed, `checksum` covers the line and the one before it. */
export interface LedgerEntry {
  readonly entryId: string
  readonly transactionId: string
  readonly accountId: string
  readonly type: TransactionType
  readonly amount: number
  readonly balanceBefore: number
  readonly balanceAfter: number
  readonly metadata: Readonly<Record<string, string>>
  readonly timestamp: string
  readonly previousChecksum: string
  readonly checksum: string
}

/** What an account holds; newest transactions and entries first. */
export interface Account {
  readonly accountId: string
  readonly balance: number
  readonly version: number
  readonly transactions: readonly Transaction[]
  readonly ledger: readonly LedgerEntry[]
}

/** A wish to move chips. */
export interface Movement {
  readonly accountId: string
  readonly type: TransactionType
  readonly amount: number
  readonly metadata: Readonly<Record<string, string>>
}

export type MovementResult =
  | { readonly ok: true; readonly transaction: Transaction }
  | { readonly ok: false; readonly error: AccountRefusal }

const maxAccounts = 100_000
const maxHistory = 1000
const outgoing: ReadonlySet<TransactionType> = new Set(['WITHDRAW', 'BUY_IN'])

/** All accounts in memory. Amounts are whole chips; a balance is never negative and never above 2^53 - 1. */
export class Accounts {
  readonly #accounts = new Map<string, Account>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(accountId: string): Account | undefined {
    return this.#accounts.get(accountId)
  }

  /** Chips in all accounts. */
  total(): number {
    return [...this.#accounts.values()].reduce((sum, account) => sum + account.balance, 0)
  }

  /** Creates the account unless it exists; null when there are too many. */
  ensure(accountId: string, initialBalance: number): { account: Account; created: boolean } | null {
    const known = this.#accounts.get(accountId)
    if (known) return { account: known, created: false }
    if (this.#accounts.size >= maxAccounts) return null
    const account = { accountId, balance: initialBalance, version: 0, transactions: [], ledger: [] }
    this.#accounts.set(accountId, account)
    return { account, created: true }
  }

  /** Moves chips in or out of an account and writes both books. */
  move(movement: Movement): MovementResult {
    const account = this.#accounts.get(movement.accountId)
    if (!account) return { ok: false, error: 'ACCOUNT_NOT_FOUND' }
    if (!Number.isSafeInteger(movement.amount) || movement.amount <= 0)
      return { ok: false, error: 'INVALID_AMOUNT' }
    const signed = outgoing.has(movement.type) ? -movement.amount : movement.amount
    const balanceAfter = account.balance + signed
    if (balanceAfter < 0) return { ok: false, error: 'INSUFFICIENT_BALANCE' }
    if (!Number.isSafeInteger(balanceAfter)) return { ok: false, error: 'ACCOUNT_LIMIT' }
    const at = new Date(this.#clock.now()).toISOString()
    const { type, amount, metadata } = movement
    const transactionId = randomUUID()
    const books = { type, balanceBefore: account.balance, balanceAfter, metadata }
    const transaction: Transaction = {
      transactionId,
      ...books,
      amount,
      status: 'COMPLETED',
      createdAt: at,
      completedAt: at,
    }
    const line = {
      entryId: randomUUID(),
      transactionId,
      accountId: account.accountId,
      ...books,
      amount: signed,
    }
    const previousChecksum = account.ledger[0]?.checksum ?? 'GENESIS'
    const checksum = createHash('sha256')
      .update(JSON.stringify({ ...line, at, previousChecksum }))
      .digest('hex')
    this.#accounts.set(account.accountId, {
      ...account,
      balance: balanceAfter,
      version: account.version + 1,
      transactions: [transaction, ...account.transactions].slice(0, maxHistory),
      ledger: [{ ...line, timestamp: at, previousChecksum, checksum }, ...account.ledger].slice(
        0,
        maxHistory,
      ),
    })
    return { ok: true, transaction }
  }
}
