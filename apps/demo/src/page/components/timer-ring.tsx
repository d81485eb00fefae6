import type { JSX } from 'preact'
import { useNow } from '../use-now.ts'

interface TimerRingProps {
  /** ms since 1970, by our own clock. */
  readonly deadline: number
  readonly totalMs: number
}

/** How much of a turn is left: a ring that runs out, and the seconds. */
export function TimerRing({ deadline, totalMs }: TimerRingProps): JSX.Element {
  const now = useNow(500)
  const leftMs = Math.max(0, Math.min(totalMs, deadline - now))
  const seconds = Math.ceil(leftMs / 1000)
  return (
    <span
      class="timer"
      role="timer"
      aria-label={`${seconds} seconds left`}
      data-low={seconds <= 5 ? '' : undefined}
    >
      <svg viewBox="0 0 44 44" aria-hidden="true">
        <circle class="timer-track" cx="22" cy="22" r="20" />
        <circle
          class="timer-left"
          cx="22"
          cy="22"
          r="20"
          pathLength={100}
          style={{ 'stroke-dashoffset': String(100 - (leftMs / totalMs) * 100) }}
        />
      </svg>
      <span class="timer-seconds" aria-hidden="true">
        {seconds}
      </span>
    </span>
  )
}
