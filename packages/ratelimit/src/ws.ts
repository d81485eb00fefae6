import type { Decision, KeyDecision, LimitRequest } from './decision.ts'
import { steadyNow } from './memory-rate-limit-store.ts'
import { MessageWindow } from './message-window.ts'
import { isWhole } from './policy.ts'
import { RateLimitError } from './rate-limit-error.ts'
import type { RateLimiter } from './rate-limiter.ts'

export interface SocketLimiterOptions {
  readonly limiter: Pick<RateLimiter, 'consume'>
  /** What a frame of this kind counts on, usually user and address with a cost by kind; none: this socket's limit only. */
  readonly keys: (kind: string) => readonly LimitRequest[]
  /** The limit of this socket alone, over all kinds: judged first, in this process. Limit at most 10 000. */
  readonly perConnection: { readonly limit: number; readonly windowMs: number }
  /** Frames that may wait to be judged; more are refused at once. Default 256. */
  readonly maxPending?: number
  /** Refusals in a row after which `abusive` is said and the socket should be closed with 1008. Default 100. */
  readonly abusiveAfter?: number
  /** Time in ms. Default: a clock that never goes back. */
  readonly now?: () => number
}

const defaultMaxPending = 256
const defaultAbusiveAfter = 100

/** What to do with one frame. `reason` goes to the client as it is. */
export type FrameDecision =
  | { readonly allowed: true }
  | {
      readonly allowed: false
      readonly reason: 'rate_limited' | 'limiter_unavailable'
      /** Who refused: this socket's own limit, its queue of frames, or the shared limits. */
      readonly scope: 'connection' | 'pending' | 'shared'
      /** -1: the frame costs more than its limit, waiting can't help. */
      readonly retryAfterMs: number
      /** Whether the peer keeps sending in spite of refusals. */
      readonly abusive: boolean
      /** The keys that refused, of the scope `shared`. */
      readonly refused: readonly KeyDecision[]
    }

/** Judges the frames of one socket, strictly in the order of the calls. */
export interface SocketLimiter {
  /** Rejects only for broken calls (INVALID_REQUEST, CLOSED); the frames after it are judged all the same. */
  judge(kind: string): Promise<FrameDecision>
  /** Frames that wait to be judged. */
  readonly pending: number
  /** Frames not judged yet, and later ones, reject with CLOSED. */
  close(): void
}

/**
 * Creates the limiter of one socket. First the socket's own limit, exact and free of charge, then user and address in
 * one call; a refused frame counts nowhere. Throws INVALID_OPTIONS.
 */
export function createSocketLimiter(options: SocketLimiterOptions): SocketLimiter {
  const { perConnection, maxPending = defaultMaxPending, abusiveAfter = defaultAbusiveAfter } = options
  const { limit, windowMs } = perConnection
  if (!isWhole(limit, 1, 10_000) || !isWhole(windowMs, 1, 86_400_000)) {
    throw new RateLimitError(
      'INVALID_OPTIONS',
      'perConnection: limit must be 1 to 10 000, windowMs 1 ms to a day',
    )
  }
  if (!isWhole(maxPending, 1, 100_000) || !isWhole(abusiveAfter, 1, 1_000_000)) {
    throw new RateLimitError('INVALID_OPTIONS', 'maxPending must be 1 to 1e5, abusiveAfter 1 to 1e6')
  }
  return new Limiter(options)
}

/** One for each of thousands of sockets: an object of few fields instead of closures. */
class Limiter implements SocketLimiter {
  readonly #options: SocketLimiterOptions
  readonly #window: MessageWindow
  /** None while no frame waits. */
  #last: Promise<unknown> | undefined
  #pending = 0
  #refusals = 0
  #closed = false

  constructor(options: SocketLimiterOptions) {
    const { limit, windowMs } = options.perConnection
    this.#options = options
    this.#window = new MessageWindow(limit, windowMs)
  }

  get pending(): number {
    return this.#pending
  }

  async judge(kind: string): Promise<FrameDecision> {
    const { maxPending = defaultMaxPending } = this.#options
    if (this.#pending >= maxPending) return this.#refuse({ scope: 'pending', retryAfterMs: 1000 })
    this.#pending += 1
    // One at a time: judged at once, the first frames of a burst could be the refused ones.
    const judged = (this.#last ?? Promise.resolve()).then(async () => this.#judgeNext(kind))
    this.#last = judged.catch(() => {})
    try {
      return await judged
    } finally {
      this.#pending -= 1
      if (this.#pending === 0) this.#last = undefined
    }
  }

  close(): void {
    this.#closed = true
  }

  #refuse(by: Pick<Refusal, 'scope' | 'retryAfterMs'> & Partial<Refusal>): FrameDecision {
    const { abusiveAfter = defaultAbusiveAfter } = this.#options
    this.#refusals += 1
    const abusive = this.#refusals >= abusiveAfter
    return { allowed: false, reason: 'rate_limited', refused: [], ...by, abusive }
  }

  async #judgeNext(kind: string): Promise<FrameDecision> {
    const { limiter, keys, now = steadyNow } = this.#options
    if (this.#closed) throw new RateLimitError('CLOSED', 'The socket limiter is closed')
    const retryAfterMs = Math.ceil(this.#window.waitMs(now()))
    if (retryAfterMs > 0) return this.#refuse({ scope: 'connection', retryAfterMs })
    const requests = keys(kind)
    const decision = requests.length === 0 ? undefined : await limiter.consume(requests)
    if (decision?.allowed === false) return this.#refuse(sharedRefusal(decision))
    this.#window.add(now())
    this.#refusals = 0
    return { allowed: true }
  }
}

type Refusal = Extract<FrameDecision, { readonly allowed: false }>

function sharedRefusal(decision: Decision): Omit<Refusal, 'allowed' | 'abusive'> {
  const { retryAfterMs, source, results } = decision
  const reason = source === 'unavailable' ? 'limiter_unavailable' : 'rate_limited'
  return { scope: 'shared', reason, retryAfterMs, refused: results.filter(({ allowed }) => !allowed) }
}
