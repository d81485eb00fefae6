import { randomBytes } from 'node:crypto'
import type { SpanContext } from '@opentelemetry/api'
import type { IdGenerator } from '@opentelemetry/sdk-trace'

/** Asked for at once: to ask for each id, and to write its digits, takes ten times as long. */
const poolBytes = 4096
const traceBytes = 16
const spanBytes = 8

/** Random ids by W3C Trace Context, but for a span that has got its own already. */
export class SpanIds implements IdGenerator {
  #preset: SpanContext | undefined
  #pool = Buffer.alloc(0)
  /** The pool in digits. */
  #text = ''
  #at = 0

  /** The one span that begins in `start` gets `ids`. */
  as<T>(ids: SpanContext, start: () => T): T {
    this.#preset = ids
    try {
      return start()
    } finally {
      this.#preset = undefined
    }
  }

  generateTraceId(): string {
    return this.#preset?.traceId ?? this.#next(traceBytes)
  }

  generateSpanId(): string {
    return this.#preset?.spanId ?? this.#next(spanBytes)
  }

  /**
   * A new trace id, and whether it is among the share that is kept: as `TraceIdRatioBasedSampler` would find from the id,
   * so that all who keep the same share keep the same traces.
   */
  newTrace(keptBelow: number): { readonly traceId: string; readonly isKept: boolean } {
    const traceId = this.#next(traceBytes)
    const at = this.#at - traceBytes
    const pool = this.#pool
    const draw =
      pool.readUInt32BE(at) ^
      pool.readUInt32BE(at + 4) ^
      pool.readUInt32BE(at + 8) ^
      pool.readUInt32BE(at + 12)
    return { traceId, isKept: draw >>> 0 < keptBelow }
  }

  #next(bytes: number): string {
    if (this.#at + bytes > this.#pool.length) {
      this.#pool = randomBytes(poolBytes)
      this.#text = this.#pool.toString('hex')
      this.#at = 0
    }
    const from = this.#at
    this.#at += bytes
    const id = this.#text.slice(from * 2, this.#at * 2)
    // All zeros is no id.
    return id.startsWith('0000000000000000') ? this.#next(bytes) : id
  }
}

/** Below it a trace's draw is kept, for a share of 0 to 1. */
export function keptBelow(share: number): number {
  return share === 1 ? 2 ** 32 : Math.floor(share * (2 ** 32 - 1))
}
