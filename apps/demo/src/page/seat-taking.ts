import type { Client } from '@gw/client'
import { depositChips, fetchToken } from './demo-api.ts'
import { freshKey } from './fresh-key.ts'

/** Who sits down where. */
export interface SeatWish {
  readonly user: string
  readonly tableId: string
  readonly seatId: number
}

/** Sits down; an empty or missing account is filled first. Undefined when seated, else the game's word. */
export async function takeSeat(client: Client, wish: SeatWish): Promise<string | undefined> {
  const { user, tableId, seatId } = wish
  const join = async () => client.request({ type: 'JoinSeat', tableId, seatId })
  const first = await join()
  if (first.ok) return undefined
  if (!['ACCOUNT_NOT_FOUND', 'INSUFFICIENT_BALANCE'].includes(first.message)) return first.message
  await depositChips(user, await fetchToken(user), freshKey())
  const second = await join()
  return second.ok ? undefined : second.message
}
