/** A step of the system's clock is more; what `Date.now` cuts off is less. */
const stepMs = 2

/**
 * A function that gives what to add to a time by `performance.now` for milliseconds since the epoch, with fractions: `Date.now`
 * cuts them off, so that by it a span could begin before the one that caused it. Never earlier than `Date.now` says, and goes
 * along when the system's clock is set.
 */
export function createWallClock(): () => number {
  let offset = performance.timeOrigin
  return () => {
    const before = performance.now()
    // The clock is there, or less than a millisecond ahead.
    const least = Date.now() - before
    // Between the two looks the process may have stood still: that says nothing of the clock.
    const isSure = performance.now() - before < stepMs / 2
    if (isSure && (offset < least || offset >= least + stepMs)) offset = least + 1
    return offset
  }
}
