/**
 * The sliding-window counter, on integers only. `consume-script.ts` is the same in Lua: change both or neither.
 *
 *          oldest                                   current
 *    |  counts[B]   | counts[B-1] |   …   | counts[1] | counts[0] |
 *    ^              ^                                 ^      ^
 *    |---e---|      |<------------- counted in full --------->|
 *            |<-------------------- windowMs ---------------->| now
 *
 * The oldest bucket is half in, half out of the window. It counts by the share still in (`width - e`), as if its hits
 * were spread evenly; but it gives back at most limit/B before it is gone, because its hits may all have come at its
 * end. So no window ever holds more than limit × (1 + 1/B); with the share alone that holds for B = 1 only.
 * Everything is multiplied by the width, so that nothing is ever rounded.
 */
import type { CheckedPolicy } from './policy.ts'

/** What a store keeps of one key. */
export interface WindowState {
  /** Number of the current bucket: time in ms divided by the width. */
  index: number
  blockedUntilMs: number
  /** Refusals in the present window, for policies with a block. */
  violations: number
  /** Newest first; `buckets + 1` of them. */
  counts: number[]
}

/** The part of a policy that the arithmetic needs. */
export type WindowShape = Pick<CheckedPolicy, 'limit' | 'buckets' | 'widthMs' | 'block'>

/** A key that was never seen. */
export function emptyWindow(policy: WindowShape, nowMs: number): WindowState {
  const counts = Array.from({ length: policy.buckets + 1 }, () => 0)
  return { index: Math.floor(nowMs / policy.widthMs), blockedUntilMs: 0, violations: 0, counts }
}

/**
 * Brings the state to `nowMs`, in place. When the clock went back the counters stay and wait for it, at most one
 * bucket: neither a mass reset nor a key that stays shut.
 */
export function rollWindow(state: WindowState, policy: WindowShape, nowMs: number): void {
  const { buckets, widthMs, block } = policy
  const index = Math.floor(nowMs / widthMs)
  const steps = index - state.index
  if (steps > 0) {
    if (Math.floor(index / buckets) !== Math.floor(state.index / buckets)) state.violations = 0
    for (let at = buckets; at >= 0; at -= 1)
      state.counts[at] = at >= steps ? (state.counts[at - steps] ?? 0) : 0
    state.index = index
  } else if (steps < -1) {
    state.index = index + 1
  }
  const latest = nowMs + (block?.durationMs ?? 0)
  if (state.blockedUntilMs > latest) state.blockedUntilMs = latest
}

/** How much of the limit a rolled state uses, times the width. */
export function usedOf(state: WindowState, policy: WindowShape, nowMs: number): number {
  const elapsed = Math.max(0, nowMs - state.index * policy.widthMs)
  let sum = 0
  for (let at = 0; at < policy.buckets; at += 1) sum += state.counts[at] ?? 0
  return sum * policy.widthMs + shareOf(state.counts[policy.buckets] ?? 0, policy, elapsed)
}

/** What the oldest bucket still counts, times the width. */
function shareOf(count: number, policy: WindowShape, elapsed: number): number {
  const { limit, buckets, widthMs } = policy
  const mostReturned = Math.floor((limit * widthMs) / buckets)
  return Math.max(count * (widthMs - elapsed), count * widthMs - mostReturned)
}

/** Whether a hit of this cost fits now, and the key is not blocked. */
export function fits(state: WindowState, hit: { policy: WindowShape; cost: number }, nowMs: number): boolean {
  const { policy, cost } = hit
  if (state.blockedUntilMs > nowMs) return false
  return usedOf(state, policy, nowMs) + cost * policy.widthMs <= policy.limit * policy.widthMs
}

/** Milliseconds until a hit of this cost fits if nothing else comes: the least that is enough; -1 when it never fits. */
export function waitOf(
  state: WindowState,
  hit: { policy: WindowShape; cost: number },
  nowMs: number,
): number {
  const { policy, cost } = hit
  const { limit, buckets, widthMs } = policy
  if (cost > limit) return -1
  const mostReturned = Math.floor((limit * widthMs) / buckets)
  const startMs = Math.max(nowMs, state.index * widthMs, state.blockedUntilMs)
  const first = Math.floor(startMs / widthMs) - state.index
  for (let shift = first; shift <= buckets; shift += 1) {
    let full = 0
    for (let at = 0; at < buckets - shift; at += 1) full += state.counts[at] ?? 0
    const room = (limit - cost - full) * widthMs
    const oldest = state.counts[buckets - shift] ?? 0
    if (room < 0 || oldest * widthMs - mostReturned > room) continue
    const elapsed = oldest * widthMs <= room ? 0 : widthMs - Math.floor(room / oldest)
    return Math.max(startMs, (state.index + shift) * widthMs + elapsed) - nowMs
  }
  return Math.max(startMs, (state.index + buckets + 1) * widthMs) - nowMs
}

/** Counts a hit. What exceeds the limit is not told apart, so that a forced count can't overflow. */
export function addHit(state: WindowState, policy: WindowShape, cost: number): void {
  state.counts[0] = Math.min((state.counts[0] ?? 0) + cost, policy.limit + 1)
}

/** Counts refusals (one of now, and those a cache answered); blocks the key when they reach `afterDenials`. */
export function addViolations(state: WindowState, policy: WindowShape, refusals: Refusals): void {
  const { block } = policy
  if (block === undefined || state.blockedUntilMs > refusals.nowMs) return
  state.violations += refusals.reported + (refusals.denied ? 1 : 0)
  if (!refusals.denied || state.violations < block.afterDenials) return
  state.blockedUntilMs = refusals.nowMs + block.durationMs
  state.violations = 0
}

export interface Refusals {
  readonly denied: boolean
  readonly reported: number
  readonly nowMs: number
}

/** When the state says nothing any more and may be forgotten. */
export function expiryOf(state: WindowState, policy: WindowShape): number {
  return Math.max((state.index + policy.buckets + 1) * policy.widthMs, state.blockedUntilMs)
}
