/** A real OTLP/gRPC collector in miniature: one gRPC method, and a reader of the protobuf wire format. */
import { Server, ServerCredentials, type ServiceDefinition, status } from '@grpc/grpc-js'

/** One span as it was sent. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: number
  /** Since the epoch. */
  readonly startedAtMs: number
  readonly endedAtMs: number
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  readonly events: readonly { readonly atMs: number; readonly name: string }[]
  readonly links: readonly { traceId: string; spanId: string }[]
  readonly statusCode: number
  readonly resource: Readonly<Record<string, string | number | boolean>>
  /** All text of the span as it was sent, for searching. */
  readonly raw: string
}

/** See `startOtlpSink`. */
export interface OtlpSink extends AsyncDisposable {
  readonly endpoint: string
  /** So far, oldest first. */
  readonly received: readonly ReceivedSpan[]
  /** The first span that matches, also one of the past. Rejects after `timeoutMs` (20 s) with `what` and all names. */
  readonly span: (
    matches: (span: ReceivedSpan) => boolean,
    what: string,
    timeoutMs?: number,
  ) => Promise<ReceivedSpan>
  /** Resolves when `count` spans arrived in all. */
  readonly spans: (count: number) => Promise<ReceivedSpan[]>
}

type Fields = Map<number, (Buffer | bigint)[]>

function parseMessage(bytes: Buffer): Fields {
  const fields: Fields = new Map()
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const take = (length: number): Buffer => bytes.subarray(at, (at += length))
  while (at < bytes.length) {
    const tag = varint()
    const wireType = Number(tag & 7n)
    const value =
      wireType === 0 ? varint() : wireType === 2 ? take(Number(varint())) : take(wireType === 1 ? 8 : 4)
    const number = Number(tag >> 3n)
    fields.set(number, [...(fields.get(number) ?? []), value])
  }
  return fields
}

function buffers(fields: Fields, number: number): Buffer[] {
  return (fields.get(number) ?? []).filter((value) => Buffer.isBuffer(value))
}

function messages(fields: Fields, number: number): Fields[] {
  return buffers(fields, number).map(parseMessage)
}

function text(fields: Fields, number: number): string {
  return buffers(fields, number)[0]?.toString() ?? ''
}

function hex(fields: Fields, number: number): string {
  return buffers(fields, number)[0]?.toString('hex') ?? ''
}

function integer(fields: Fields, number: number): number {
  return Number(fields.get(number)?.[0] ?? 0)
}

function milliseconds(fields: Fields, number: number): number {
  // Whole microseconds: nanoseconds since the epoch are more digits than a number has.
  return Number((buffers(fields, number)[0]?.readBigUInt64LE() ?? 0n) / 1000n) / 1000
}

function attributes(fields: Fields, number: number): Record<string, string | number | boolean> {
  const pairs = messages(fields, number).map((pair): [string, string | number | boolean] => {
    const [value = new Map()] = messages(pair, 2)
    if (value.has(2)) return [text(pair, 1), integer(value, 2) === 1]
    return [text(pair, 1), value.has(3) ? integer(value, 3) : text(value, 1)]
  })
  return Object.fromEntries(pairs)
}

function parseRequest(bytes: Buffer): ReceivedSpan[] {
  return messages(parseMessage(bytes), 1).flatMap((resourceSpans) => {
    const resource = attributes(messages(resourceSpans, 1)[0] ?? new Map(), 1)
    return messages(resourceSpans, 2)
      .flatMap((scopeSpans) => buffers(scopeSpans, 2))
      .map((spanBytes) => {
        const span = parseMessage(spanBytes)
        return {
          traceId: hex(span, 1),
          spanId: hex(span, 2),
          parentSpanId: hex(span, 4),
          name: text(span, 5),
          kind: integer(span, 6),
          startedAtMs: milliseconds(span, 7),
          endedAtMs: milliseconds(span, 8),
          attributes: attributes(span, 9),
          events: messages(span, 11).map((event) => ({ atMs: milliseconds(event, 1), name: text(event, 2) })),
          links: messages(span, 13).map((link) => ({ traceId: hex(link, 1), spanId: hex(link, 2) })),
          statusCode: integer(messages(span, 15)[0] ?? new Map(), 3),
          resource,
          raw: spanBytes.toString('latin1'),
        }
      })
  })
}

const service: ServiceDefinition = {
  export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: (value: Buffer) => value,
    requestDeserialize: (value: Buffer) => value,
    responseSerialize: (value: Buffer) => value,
    responseDeserialize: (value: Buffer) => value,
  },
}

/** Starts one on a free port. `answer`: what it does with an export call. */
export async function startOtlpSink(answer: 'accept' | 'refuse' | 'hang' = 'accept'): Promise<OtlpSink> {
  const received: ReceivedSpan[] = []
  const waiting = new Set<() => void>()
  const server = new Server()
  server.addService(service, {
    export: (call: { request: Buffer }, respond: (error: object | null, value?: Buffer) => void) => {
      received.push(...parseRequest(call.request))
      for (const check of waiting) check()
      if (answer === 'accept') respond(null, Buffer.alloc(0))
      if (answer === 'refuse') respond({ code: status.PERMISSION_DENIED, details: 'no' })
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  return {
    endpoint: `http://127.0.0.1:${port}`,
    received,
    span: (matches, what, timeoutMs = 20_000) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const found = received.find(matches)
          if (!found) return
          clearTimeout(late)
          waiting.delete(check)
          resolve(found)
        }
        const late = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`no span: ${what}; got ${received.map(({ name }) => name).join(', ')}`))
        }, timeoutMs)
        waiting.add(check)
        check()
      }),
    spans: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (received.length < count) return
          waiting.delete(check)
          resolve(received)
        }
        waiting.add(check)
        check()
      }),
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  }
}
