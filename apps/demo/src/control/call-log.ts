import type { ServiceName } from './faults.ts'

/** One request as a service saw it. */
export interface RecordedCall {
  readonly service: ServiceName
  /** RPC name, or method and path of an HTTP request. */
  readonly method: string
  /** The request in protobuf's JSON form, or the HTTP body. */
  readonly request: unknown
  /** gRPC metadata or HTTP headers; `authorization` is shortened, never whole. */
  readonly metadata: Readonly<Record<string, string>>
  /** What was left of the caller's deadline on arrival, in ms; null when none was sent. */
  readonly deadlineMs: number | null
  /** Milliseconds since 1970. */
  readonly at: number
}

/** The newest calls, for tests. */
export class CallLog {
  readonly #calls: RecordedCall[] = []
  readonly #maxCalls: number

  constructor(maxCalls: number = 2000) {
    this.#maxCalls = maxCalls
  }

  add(call: RecordedCall): void {
    this.#calls.push(call)
    if (this.#calls.length > this.#maxCalls) this.#calls.shift()
  }

  /** Oldest first; narrowed to a service and a method when given. */
  list(filter: { readonly service?: string; readonly method?: string } = {}): RecordedCall[] {
    return this.#calls.filter(
      (call) =>
        (filter.service ?? call.service) === call.service && (filter.method ?? call.method) === call.method,
    )
  }

  clear(): void {
    this.#calls.length = 0
  }
}

/** Plain metadata for the log: an `authorization` value keeps its scheme only. */
export function redactMetadata(metadata: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => {
      const text = Buffer.isBuffer(value) ? value.toString('base64') : String(value)
      return [name, name.toLowerCase() === 'authorization' ? text.replace(/\s.*/, ' …') : text]
    }),
  )
}
