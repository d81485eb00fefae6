import type { Clock } from '../clock.ts'
import type { BalanceService } from '../gen/balance/balance_pb.ts'
import type { Handlers } from '../grpc/grpc-server.ts'
import type { IdempotencyCache } from '../idempotency.ts'
import { PlatformError, requireText } from '../platform-error.ts'
import type { Accounts } from './accounts.ts'
import type { Reservations } from './reservations.ts'

const dayMs = 86_400_000

export interface BalanceServiceOptions {
  readonly accounts: Accounts
  readonly reservations: Reservations
  readonly idempotency: IdempotencyCache
  readonly clock: Clock
}

/** balance.BalanceService: what Game calls to move chips between an account and a table. */
export function createBalanceService(options: BalanceServiceOptions): Handlers<typeof BalanceService> {
  const { accounts, reservations, idempotency } = options
  return {
    getBalance: ({ accountId }) => {
      const account = accounts.get(requireText(accountId, 'MISSING_ACCOUNT_ID'))
      if (!account) throw new PlatformError('NOT_FOUND', 'ACCOUNT_NOT_FOUND')
      return {
        accountId: account.accountId,
        balance: BigInt(account.balance),
        availableBalance: BigInt(reservations.available(account.accountId)),
        currency: 'CHIPS',
        version: account.version,
      }
    },
    ensureAccount: ({ accountId, initialBalance }) => {
      const ensured = accounts.ensure(
        requireText(accountId, 'MISSING_ACCOUNT_ID'),
        wholeChips(initialBalance, { min: 0 }),
      )
      if (!ensured) throw new PlatformError('RESOURCE_EXHAUSTED', 'TOO_MANY_ACCOUNTS')
      return { accountId, balance: BigInt(ensured.account.balance), created: ensured.created }
    },
    reserveForBuyIn: (request) =>
      idempotency.once({
        rpc: 'ReserveForBuyIn',
        key: request.idempotencyKey,
        ttlMs: dayMs,
        isKept: (answer) => answer.ok,
        run: () => {
          const accountId = requireText(request.accountId, 'MISSING_ACCOUNT_ID')
          const reserved = reservations.reserve({
            accountId,
            tableId: requireText(request.tableId, 'MISSING_TABLE_ID'),
            amount: wholeChips(request.amount, { min: 1 }),
            timeoutSeconds: request.timeoutSeconds > 0 ? request.timeoutSeconds : 30,
          })
          return { ...reserved, availableBalance: BigInt(reservations.available(accountId)) }
        },
      }),
    commitReservation: ({ reservationId }) =>
      reservations.commit(requireText(reservationId, 'MISSING_RESERVATION_ID')),
    releaseReservation: ({ reservationId }) =>
      reservations.release(requireText(reservationId, 'MISSING_RESERVATION_ID')),
    processCashOut: (request) =>
      idempotency.once({
        rpc: 'ProcessCashOut',
        key: request.idempotencyKey,
        ttlMs: dayMs,
        isKept: (answer) => answer.ok,
        run: (): { ok: boolean; error?: string } =>
          accounts.move({
            accountId: requireText(request.accountId, 'MISSING_ACCOUNT_ID'),
            type: 'CASH_OUT',
            amount: wholeChips(request.amount, { min: 1 }),
            metadata: { tableId: requireText(request.tableId, 'MISSING_TABLE_ID') },
          }),
      }),
  }
}

function wholeChips(amount: bigint, { min }: { readonly min: number }): number {
  if (amount < BigInt(min) || amount > BigInt(Number.MAX_SAFE_INTEGER))
    throw new PlatformError('INVALID_ARGUMENT', 'INVALID_AMOUNT')
  return Number(amount)
}
