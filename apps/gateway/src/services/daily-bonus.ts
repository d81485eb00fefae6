/** The daily bonus: a deposit by Balance's HTTP API when a player can't pay a buy-in, at most once a UTC day. */
import type { Dispatcher } from 'undici'
import { request } from 'undici'
import { asciiValue } from '../http/identity-headers.ts'

/** How a request for the bonus went; `status` is Balance's. */
export interface DailyBonusEvent {
  readonly type: 'granted' | 'failed'
  readonly userId: string
  readonly status?: number
  readonly error?: unknown
}

export interface DailyBonusOptions {
  /** Balance's HTTP origin, e.g. `http://localhost:3002`. */
  readonly balanceUrl: string
  readonly dispatcher: Dispatcher
  readonly onEvent: (event: DailyBonusEvent) => void
  readonly now?: () => number
}

export interface DailyBonus {
  /** Asks for the bonus with the caller's own token. What came of it goes to `onEvent`. Never rejects; 2 s at most. */
  grant(player: { readonly userId: string; readonly authorization: string }): Promise<void>
}

const timeoutMs = 2000

/** The idempotency key is the platform's: `bonus:daily_login:lobby:<user>:<UTC date>`, so a repeat pays nothing. */
export function createDailyBonus({
  balanceUrl,
  dispatcher,
  onEvent,
  now = Date.now,
}: DailyBonusOptions): DailyBonus {
  return {
    async grant({ userId, authorization }) {
      const day = new Date(now()).toISOString().slice(0, 10)
      try {
        const user = asciiValue(userId)
        const response = await request(`${balanceUrl}/api/accounts/${encodeURIComponent(userId)}/deposit`, {
          dispatcher,
          method: 'POST',
          headers: {
            authorization,
            'content-type': 'application/json',
            'idempotency-key': `bonus:daily_login:lobby:${user}:${day}`,
            'x-gateway-user-id': user,
            'x-user-id': user,
          },
          body: JSON.stringify({ amount: 1000, source: 'BONUS' }),
          signal: AbortSignal.timeout(timeoutMs),
        })
        await response.body.dump()
        const granted = response.statusCode >= 200 && response.statusCode < 300
        onEvent({ type: granted ? 'granted' : 'failed', userId, status: response.statusCode })
      } catch (error) {
        onEvent({ type: 'failed', userId, error })
      }
    },
  }
}
