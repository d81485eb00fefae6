import { randomUUID } from 'node:crypto'
import { BalanceService } from '../gen/balance/balance_pb.ts'
import type { Clock } from '../clock.ts'
import { createGrpcClient, type GrpcClient } from '../grpc/grpc-client.ts'

/** Why a buy-in failed. INTERNAL: Balance could not be asked. */
export type BuyInRefusal = 'ACCOUNT_NOT_FOUND' | 'INSUFFICIENT_BALANCE' | 'COMMIT_FAILED' | 'INTERNAL'

/** A player's chips on their way between an account and a table. */
export interface ChipTransfer {
  readonly userId: string
  readonly tableId: string
  readonly amount: number
}

/** Game's side of Balance. */
export interface Chips {
  /** Takes the chips from the account; null when done. `key` makes a retry safe. */
  readonly buyIn: (transfer: ChipTransfer, key: string) => Promise<BuyInRefusal | null>
  /** Brings chips back. Resolves when Balance has them; retried with the same key for about a minute. */
  readonly cashOut: (transfer: ChipTransfer) => Promise<void>
  readonly close: () => void
}

export interface ChipsOptions {
  /** host:port of Balance's gRPC service. */
  readonly address: string
  readonly clock: Clock
  readonly onError: (error: unknown, what: string) => void
}

const retryDelaysMs = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600]

/** Moves chips by Balance's gRPC calls, each with a deadline of 1.5 s. */
export function createChips(options: ChipsOptions): Chips {
  const balance = createGrpcClient(BalanceService, { address: options.address, timeoutMs: 1500 })
  let isClosed = false
  const cashOut = async (transfer: ChipTransfer): Promise<void> => {
    const { userId: accountId, tableId } = transfer
    const idempotencyKey = `cash-out:${randomUUID()}`
    if (transfer.amount <= 0) return
    for (const delayMs of [...retryDelaysMs, 0]) {
      try {
        const request = { accountId, tableId, amount: BigInt(transfer.amount), idempotencyKey }
        const { ok, error } = await balance.processCashOut(request)
        if (ok) return
        return options.onError(new Error(error), 'cash-out')
      } catch (error) {
        if (isClosed) return
        options.onError(error, 'cash-out')
        await new Promise<void>((resolve) => options.clock.after(delayMs, resolve))
      }
    }
  }
  return {
    buyIn: async (transfer, key) => {
      try {
        return await takeChips(balance, transfer, key)
      } catch (error) {
        options.onError(error, 'buy-in')
        return 'INTERNAL'
      }
    },
    cashOut,
    close: () => {
      isClosed = true
      balance.close()
    },
  }
}

async function takeChips(
  balance: GrpcClient<typeof BalanceService>,
  { userId: accountId, tableId, amount }: ChipTransfer,
  key: string,
): Promise<BuyInRefusal | null> {
  const reserved = await balance.reserveForBuyIn({
    accountId,
    tableId,
    amount: BigInt(amount),
    idempotencyKey: `buy-in:${key}`,
    timeoutSeconds: 30,
  })
  if (!reserved.ok) return toRefusal(reserved.error)
  const { reservationId } = reserved
  const committed = await balance.commitReservation({ reservationId }).catch(() => null)
  if (committed?.ok) return null
  // Unknown whether it was committed: release it, and when it turns out that it was, the chips are the table's.
  const released = await balance.releaseReservation({ reservationId })
  return released.ok ? 'COMMIT_FAILED' : null
}

function toRefusal(error: string): BuyInRefusal {
  return error === 'ACCOUNT_NOT_FOUND' || error === 'INSUFFICIENT_BALANCE' ? error : 'INTERNAL'
}
