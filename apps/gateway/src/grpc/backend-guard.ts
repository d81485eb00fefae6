/**
 * Keeps one failing or slow backend from taking the gateway with it:
 *
 *   call ──▶ concurrency cap ──▶ breaker ──▶ backend
 *                 │ full            │ open              reads only: one more try after 50-150 ms,
 *                 └── 503 ◀─────────┘                   within the deadline and 10 % of the calls
 *
 * The breaker opens after 5 failures in a row, or half of at least 20 calls in 10 s, for 5 s; then one call tries.
 * Failures are what says that the backend itself is ill: unavailable, or too late. A refusal is an answer. A call that its
 * client gave up, or left too little time, says nothing: it counts for neither, and a try that ends so is none.
 */
import {
  BrokenCircuitError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  handleWhen,
  type IBreaker,
  SamplingBreaker,
} from 'cockatiel'
import { GatewayError } from '../errors.ts'

/** What a breaker is doing. */
export type BreakerState = 'closed' | 'half_open' | 'open'

export interface BackendGuardOptions {
  /** Calls at once; more are refused. Default 256. */
  readonly maxConcurrent?: number
  /** How long an open breaker refuses. Default 5000. */
  readonly openMs?: number
  readonly onState?: (state: BreakerState) => void
  readonly onRetry?: () => void
}

export interface GuardedCall<T> {
  /** Whether a second call does no harm. */
  readonly idempotent: boolean
  /** Asked before a second try: whether the first left no trace. Default: it never does. */
  readonly mayRepeat?: () => boolean
  /** By `performance.now()`; no retry begins when too little is left. */
  readonly deadlineAtMs: number
  readonly run: () => Promise<T>
  /** Whether what it gave says nothing of the backend. Default: it never does. */
  readonly isSilent?: (value: T) => boolean
}

type Retriable = Pick<GuardedCall<never>, 'idempotent' | 'deadlineAtMs' | 'mayRepeat'>

export interface BackendGuard {
  /** Rejects with `unavailable` and a retry time when the call may not go on, else with what the call gave. */
  call<T>(call: GuardedCall<T>): Promise<T>
  readonly state: BreakerState
}

const retryShare = 0.1
/** Retries that may be made before any call was: a lone failing call still gets its second chance. */
const spareRetries = 3

/**
 * What a second try may cure, of a call that changes nothing: nobody there, or a connection that broke. Without a reason
 * it is a refusal, which stands.
 */
const retryable: ReadonlySet<string> = new Set(['unavailable', 'bad_gateway'])

function isBackendIll(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false
  return error.reason === 'upstream_unavailable' || error.reason === 'upstream_timeout'
}

/** Opens as soon as one of the two would. */
class EitherBreaker implements IBreaker {
  readonly #breakers: readonly IBreaker[] = [
    new ConsecutiveBreaker(5),
    new SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 2 }),
  ]
  state: unknown = undefined

  success(state: CircuitState): void {
    for (const breaker of this.#breakers) breaker.success(state)
  }

  failure(state: CircuitState): boolean {
    return this.#breakers.map((breaker) => breaker.failure(state)).includes(true)
  }
}

/** What says nothing of the backend: the client went away, was too slow, sent too much, or gave too little time. */
function isSilence(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false
  if (error.code === 'cancelled' || error.code === 'payload_too_large') return true
  return (
    error.reason === 'budget_spent' || error.reason === 'client_too_slow' || error.reason === 'upstream_busy'
  )
}

/** What a call throws past the breaker when its outcome says nothing. */
class Silence extends Error {}

/** The same of the one call that tries whether the backend is back: it would close the breaker. */
class FailedTry extends Silence {}

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown }

function stateOf(state: CircuitState): BreakerState {
  switch (state) {
    case CircuitState.Closed:
      return 'closed'
    case CircuitState.HalfOpen:
      return 'half_open'
    case CircuitState.Open:
    case CircuitState.Isolated:
      return 'open'
  }
}

function wait(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, ms)
  return promise
}

/** One guard per backend. */
export function createBackendGuard(options: BackendGuardOptions = {}): BackendGuard {
  const { maxConcurrent = 256, openMs = 5000, onState, onRetry } = options
  const counts = (error: unknown): boolean => isBackendIll(error) || error instanceof FailedTry
  const breaker = circuitBreaker(handleWhen(counts), {
    halfOpenAfter: openMs,
    breaker: new EitherBreaker(),
  })
  let running = 0
  breaker.onStateChange((state) => onState?.(stateOf(state)))
  let retryBudget = spareRetries

  const breakerOpen = (cause?: unknown): GatewayError =>
    new GatewayError('unavailable', undefined, { cause, retryAfterMs: openMs, reason: 'breaker_open' })

  async function once<T>({ run, isSilent }: GuardedCall<T>): Promise<T> {
    const isTry = breaker.state !== CircuitState.Closed
    let outcome: Outcome<T> | undefined
    const judged = async (): Promise<void> => {
      let silent: boolean
      try {
        const value = await run()
        outcome = { ok: true, value }
        silent = isSilent?.(value) === true
      } catch (error) {
        if (isBackendIll(error)) throw error
        // A refusal proves that the backend lives: to the breaker it is a success.
        outcome = { ok: false, error }
        silent = isSilence(error)
      }
      if (silent) throw isTry ? new FailedTry() : new Silence()
    }
    // One call is trying: to wait for it, as cockatiel would, takes the time of those who can be told at once.
    if (breaker.state === CircuitState.HalfOpen) throw breakerOpen()
    if (running >= maxConcurrent)
      throw new GatewayError('unavailable', undefined, { reason: 'upstream_busy' })
    running += 1
    try {
      await breaker.execute(judged)
    } catch (error) {
      if (error instanceof BrokenCircuitError) throw breakerOpen(error)
      if (!(error instanceof Silence)) throw error
    } finally {
      running -= 1
    }
    if (outcome?.ok) return outcome.value
    throw outcome?.error
  }

  function mayRetry(error: unknown, call: Retriable, pauseMs: number): boolean {
    if (!call.idempotent || breaker.state !== CircuitState.Closed || retryBudget < 1) return false
    if (!(error instanceof GatewayError) || error.reason === undefined || !retryable.has(error.code))
      return false
    return performance.now() + pauseMs < call.deadlineAtMs && call.mayRepeat?.() !== false
  }

  return {
    get state() {
      return stateOf(breaker.state)
    },
    async call(call) {
      retryBudget = Math.min(retryBudget + retryShare, 10)
      try {
        return await once(call)
      } catch (error) {
        const pauseMs = 50 + Math.random() * 100
        if (!mayRetry(error, call, pauseMs)) throw error
        retryBudget -= 1
        onRetry?.()
        await wait(pauseMs)
        return once(call)
      }
    },
  }
}
