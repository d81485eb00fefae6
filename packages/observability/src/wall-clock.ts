/** A step of the system's clock is more; what `Date.now` cuts off is less. */
const stepMs = 2

/**
 * A function that gives what to add to a time by `performance.now` for milliseconds since the epoch, with fractions: `Date.now`
 * cuts them off, so that by it a span could begin before the one that caused it. Goes along when the system's clock is set.
 */
export function createWallClock(): () => number {
  let offset = Number.NaN
  return () => {
    const before = performance.now()
    const now = Date.now() - before
    // Between the two the process may have stood still: that says nothing of the clock.
    const isSure = performance.now() - before < stepMs / 2
    if (Number.isNaN(offset) || (isSure && Math.abs(now - offset) >= stepMs)) offset = now
    return offset
  }
}
