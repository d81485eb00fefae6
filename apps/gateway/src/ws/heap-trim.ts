/**
 * Gives back what a storm of connects leaves in V8's heap: each costs half a megabyte of short-lived objects, and for ten
 * thousand sockets the pages between the living are more than the living.
 *
 *   storm ──▶ quiet for 3 s ──▶ V8 told to favour memory ──20 s, or the next storm──▶ told to favour speed, for 5 min at least
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

/** Fewer leave nothing behind that would be worth some pauses (docs/fan-out.md). */
const stormSockets = 2000
/** With more new sockets a second belongs to a storm; with fewer it is the usual coming and going. */
const calmSockets = 20
const quietSeconds = 3
/** The reducer looks every 8 s; then its collections follow each other within a second. */
const trimSeconds = 20
/** From the beginning of a trim to the next one's, however it storms. */
const restSeconds = 300

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
  /** Sockets of storms since the last trim. */
  let storm = 0
  let quietFor = 0
  let isTrimming = false
  let sinceTrim = restSeconds

  function begin(): void {
    storm = 0
    sinceTrim = 0
    isTrimming = true
    favourMemory(true)
  }

  function end(): void {
    if (!isTrimming) return
    isTrimming = false
    favourMemory(false)
  }

  const stop = everySecond(() => {
    const now = opened()
    const fresh = now - seen
    seen = now
    sinceTrim += 1
    quietFor = fresh > calmSockets ? 0 : quietFor + 1
    if (quietFor === 0) storm += fresh
    const isStorm = storm >= stormSockets
    if (isTrimming && (isStorm || sinceTrim >= trimSeconds)) end()
    else if (isStorm && quietFor >= quietSeconds && sinceTrim >= restSeconds) begin()
  })

  return {
    close() {
      stop()
      end()
    },
  }
}
