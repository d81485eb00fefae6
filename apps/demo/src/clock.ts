import { runWithOrigin } from './call-origin.ts'

/** Time as the platform sees it, so that tests can drive turn timers and hand starts by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Runs `task` once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, task: () => void) => () => void
}

/** The machine's own time. Pending timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (delayMs, task) => {
    // What a timer does later is nobody's call any more.
    const timer = setTimeout(() => runWithOrigin({}, task), delayMs).unref()
    return () => clearTimeout(timer)
  },
}
