import { status } from '@grpc/grpc-js'
import * as z from 'zod'
import { PlatformError } from '../platform-error.ts'

/** Names that a fault can be set for: the five gRPC services, and Balance's HTTP API. */
export const serviceNames = ['balance', 'player', 'game', 'event', 'notify', 'balance-http'] as const
export type ServiceName = (typeof serviceNames)[number]

const codes = Object.keys(status).filter((name) => name !== 'OK' && Number.isNaN(Number(name)))

/** A fault as `POST /faults` takes it. */
export const faultSchema = z.strictObject({
  service: z.enum(serviceNames),
  /** RPC name (`JoinSeat`), or for `balance-http` the last word of the path (`deposit`). Absent: every one. */
  method: z.string().min(1).optional(),
  kind: z.enum(['delay', 'error', 'hang']),
  delayMs: z.int().min(0).max(60_000).default(1000),
  code: z
    .enum(Object.keys(status))
    .refine((name) => codes.includes(name), 'not a gRPC error code')
    .default('UNAVAILABLE'),
  details: z.string().max(500).default('fault injected'),
  /** How many calls it hits before it goes away. Absent: until cleared. */
  count: z.int().positive().optional(),
})
export type Fault = z.infer<typeof faultSchema>

/** The faults in force, first match wins; at most 100. */
export class Faults {
  readonly #active: { fault: Fault; left: number }[] = []

  add(fault: Fault): void {
    if (this.#active.length >= 100) throw new PlatformError('RESOURCE_EXHAUSTED', 'Too many faults')
    this.#active.push({ fault, left: fault.count ?? Number.POSITIVE_INFINITY })
  }

  clear(): void {
    this.#active.length = 0
  }

  list(): Fault[] {
    return this.#active.map(({ fault }) => fault)
  }

  /** Resolves at once when no fault matches; else delays, throws the fault's code, or stays until `signal` aborts. */
  async apply(service: ServiceName, method: string, signal: AbortSignal): Promise<void> {
    const hit = this.#active.find(
      ({ fault }) => fault.service === service && (fault.method ?? method) === method,
    )
    if (!hit) return
    if (--hit.left <= 0) this.#active.splice(this.#active.indexOf(hit), 1)
    const { kind, delayMs, code, details } = hit.fault
    switch (kind) {
      case 'delay':
        return pause(delayMs, signal)
      case 'hang':
        return pause(null, signal)
      case 'error':
        throw new PlatformError(toCode(code), details)
    }
  }
}

function toCode(name: string): Exclude<keyof typeof status, 'OK'> {
  return name in status && name !== 'OK' ? (name as Exclude<keyof typeof status, 'OK'>) : 'UNKNOWN'
}

function pause(delayMs: number | null, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = delayMs === null ? undefined : setTimeout(resolve, delayMs)
    const abort = (): void => {
      clearTimeout(timer)
      reject(new PlatformError('CANCELLED', 'The caller has gone'))
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
