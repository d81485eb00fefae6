/**
 * Gives back what a storm of connects leaves in V8's heap: each costs half a megabyte of short-lived objects, and for ten
 * thousand sockets the pages between the living are more than the living.
 *
 *   storm ──▶ quiet for 3 s ──▶ V8 told to favour memory ──20 s, or the next storm──▶ told to favour speed
 *
 * V8's own memory reducer collects in small steps and compacts, but waits until next to nothing is allocated, which with the
 * pings of thousands of sockets is never. Told to favour memory it does not wait. V8 reads these flags at each decision.
 */
import { setFlagsFromString } from 'node:v8'

export interface HeapTrimOptions {
  /** Sockets that were ever opened. */
  readonly opened: () => number
  /** Runs `step` every second; returns the way to stop. Default: a timer that doesn't keep the process alive. */
  readonly everySecond?: (step: () => void) => () => void
  /** Default: V8 is told, by `memoryFlags`. */
  readonly favourMemory?: (isOn: boolean) => void
}

export interface HeapTrim {
  close(): void
}

/** Fewer leave nothing behind that would be worth a collection. */
const stormSockets = 500
/** A second with more than this share of the storm's sockets still belongs to it. */
const quietShare = 0.02
const quietSeconds = 3
/** The reducer looks every 8 s; then its collections follow each other within a second. */
const trimSeconds = 20

function everySecondByTimer(step: () => void): () => void {
  const timer = setInterval(step, 1000).unref()
  return () => clearInterval(timer)
}

/** For V8. Each collection compacts a part of what is sparse: its usual two leave half of it. */
export function memoryFlags(isOn: boolean): readonly string[] {
  return isOn
    ? ['--optimize-for-size', '--memory-reducer-gc-count=5']
    : ['--no-optimize-for-size', '--memory-reducer-gc-count=2']
}

function tellV8(isOn: boolean): void {
  for (const flag of memoryFlags(isOn)) setFlagsFromString(flag)
}

/** Watches from now on; `close` leaves V8 as it was. */
export function createHeapTrim(options: HeapTrimOptions): HeapTrim {
  const { opened, everySecond = everySecondByTimer, favourMemory = tellV8 } = options
  let seen = opened()
  /** Sockets since the last trim. */
  let storm = 0
  let quietFor = 0
  let trimmingFor: number | undefined

  function end(): void {
    if (trimmingFor === undefined) return
    trimmingFor = undefined
    favourMemory(false)
  }

  const stop = everySecond(() => {
    const now = opened()
    const fresh = now - seen
    seen = now
    storm += fresh
    quietFor = fresh > storm * quietShare ? 0 : quietFor + 1
    if (trimmingFor !== undefined) {
      trimmingFor += 1
      if (trimmingFor >= trimSeconds || storm >= stormSockets) end()
    } else if (storm >= stormSockets && quietFor >= quietSeconds) {
      storm = 0
      trimmingFor = 0
      favourMemory(true)
    }
  })

  return {
    close() {
      stop()
      end()
    },
  }
}
