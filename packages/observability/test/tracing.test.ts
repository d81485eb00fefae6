import { SpanStatusCode, trace } from '@opentelemetry/api'
import { describe, expect, it } from 'vitest'
import { runWithContext } from '../src/logger.ts'
import {
  extractTraceparent,
  injectTraceparent,
  isKept,
  isTracing,
  keepsBelow,
  recordFailure,
  type SpanDrop,
  startSpan,
  startTracing,
  type Tracing,
  type TracingOptions,
  withSpan,
} from '../src/tracing.ts'
import { testLogger } from './lines.ts'
import { startOtlpSink } from '@gw/testing'

const remote = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const remoteUnsampled = `${remote.slice(0, -2)}00`

interface Started extends AsyncDisposable, Tracing {
  readonly drops: SpanDrop[]
}

function start(options: Partial<TracingOptions> & Pick<TracingOptions, 'endpoint'>): Started {
  const drops: SpanDrop[] = []
  const tracing = startTracing({
    serviceName: 'gateway-service',
    serviceVersion: '1.2.3',
    instanceId: 'i-1',
    scheduledDelayMs: 10,
    onDrop: (drop) => drops.push(drop),
    ...options,
  })
  return {
    ...tracing,
    drops,
    [Symbol.asyncDispose]: async () => {
      await tracing.shutdown(1000)
    },
  }
}

describe('what a collector receives', () => {
  it('is one trace with right parents, links, kinds and resource', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    const cause = extractTraceparent('00-11111111111111111111111111111111-2222222222222222-01')
    withSpan('outer', { kind: 'server', parent: extractTraceparent(remote), attributes: { a: 1 } }, () =>
      withSpan('inner', { kind: 'client', links: cause ? [cause] : [] }, (span) => {
        span.setAttribute('b', 'x')
      }),
    )
    const [inner, outer] = await sink.spans(2)
    expect(outer).toMatchObject({
      name: 'outer',
      kind: 2,
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parentSpanId: 'b7ad6b7169203331',
      attributes: { a: 1 },
      statusCode: 0,
      resource: {
        'service.name': 'gateway-service',
        'service.version': '1.2.3',
        'service.instance.id': 'i-1',
      },
    })
    expect(inner).toMatchObject({
      name: 'inner',
      kind: 3,
      traceId: outer?.traceId,
      parentSpanId: outer?.spanId,
      attributes: { b: 'x' },
      links: [{ traceId: '11111111111111111111111111111111', spanId: '2222222222222222' }],
    })
  })

  it('ends asynchronous spans when they settle, and marks the failed ones', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    await withSpan('good', {}, async () => Promise.resolve())
    await expect(withSpan('bad', {}, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(() =>
      withSpan('thrown', {}, () => {
        throw new Error('now')
      }),
    ).toThrow('now')
    const spans = await sink.spans(3)
    expect(spans.map(({ name, statusCode }) => [name, statusCode])).toEqual([
      ['good', 0],
      ['bad', 2],
      ['thrown', 2],
    ])
  })

  it('has no secrets in it', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint, redact: { fields: ['cards'] } })
    withSpan('op', { attributes: { token: 'CANARY', 'app.holeCards': ['CANARY'], note: 'a' } }, (span) => {
      span.setAttribute('url.full', 'ws://h/ws?token=CANARY')
      span.addEvent('frame', { frame: '{"type":"x","text":"CANARY CANARY"}' })
      recordFailure(span, new Error('Authorization: Bearer CANARY'))
    })
    const [span] = await sink.spans(1)
    expect(span?.raw).not.toContain('CANARY')
    expect(span?.attributes).toMatchObject({
      token: '[redacted]',
      'url.full': 'ws://h/ws?token=[redacted]',
      note: 'a',
    })
    expect(span?.raw).toContain('exception.message')
  })

  it('follows a caller who does not sample, but for failures', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    const parent = extractTraceparent(remoteUnsampled)
    withSpan('unsampled', { parent }, () => {})
    withSpan('failed', { parent }, (span) => recordFailure(span, 'broken'))
    withSpan('sampled', { parent: 'root' }, () => {})
    const spans = await sink.spans(2)
    expect(spans.map(({ name }) => name)).toEqual(['failed', 'sampled'])
    expect(spans[0]?.traceId).toBe(parent?.traceId)
  })

  it('has a failed span of an unsampled trace whole, under the ids that were passed on', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    const parent = extractTraceparent(remoteUnsampled)
    const link = extractTraceparent('00-11111111111111111111111111111111-2222222222222222-01')
    const startedAtMs = Date.now()
    const passedOn = withSpan(
      'GET',
      { kind: 'server', parent, attributes: { a: 1, b: 1 }, links: link ? [link] : [] },
      (span) => {
        span.setAttribute('b', 2).setAttributes({ c: 3 }).updateName('GET /x').addEvent('seen', { d: 4 })
        recordFailure(span, new TypeError('broken'))
        return injectTraceparent()
      },
    )
    const [span] = await sink.spans(1)
    expect(passedOn).toBe(`00-${span?.traceId}-${span?.spanId}-00`)
    expect(span).toMatchObject({
      name: 'GET /x',
      kind: 2,
      traceId: parent?.traceId,
      parentSpanId: parent?.spanId,
      statusCode: 2,
      attributes: { a: 1, b: 2, c: 3 },
      links: [{ traceId: '11111111111111111111111111111111', spanId: '2222222222222222' }],
    })
    expect(span?.raw).toContain('TypeError')
    expect(span?.raw).toContain('seen')
    const [from = 0, to = 0] = [span?.startedAtMs, span?.endedAtMs]
    expect(from).toBeGreaterThanOrEqual(startedAtMs)
    expect(to).toBeGreaterThanOrEqual(from)
    expect(to).toBeLessThanOrEqual(Date.now() + 1)
  })

  it('has a failed child of an unsampled span below that one, which is not there if all is well with it', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint, sampleRatio: 0 })
    const { logger, sink: lines } = testLogger()
    const outer = withSpan('outer', { parent: 'root' }, (span) => {
      withSpan('inner', { kind: 'client', tracer: 'other' }, (child) => {
        logger.info('inside')
        recordFailure(child, 'broken')
      })
      return span.spanContext()
    })
    const [inner] = await sink.spans(1)
    expect(inner).toMatchObject({ name: 'inner', traceId: outer.traceId, parentSpanId: outer.spanId })
    expect(inner?.spanId).not.toBe(outer.spanId)
    expect(lines.lines[0]).toMatchObject({ traceId: outer.traceId, spanId: outer.spanId })
  })

  it('is known before the end: sampled, or failed', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint, sampleRatio: 0 })
    withSpan('not sampled', { parent: 'root' }, (span) => {
      expect(isKept(span)).toBe(false)
      recordFailure(span, 'broken')
      expect(isKept(span)).toBe(true)
    })
    withSpan('sampled', { parent: extractTraceparent(remote) }, (span) => expect(isKept(span)).toBe(true))
    expect(await sink.spans(2)).toHaveLength(2)
  })

  it('is the share of root spans that the ratio says', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint, sampleRatio: 0 })
    for (let i = 0; i < 20; i++) withSpan('root', { parent: 'root' }, () => {})
    withSpan('joined', { parent: extractTraceparent(remote) }, () => {})
    expect((await sink.spans(1)).map(({ name }) => name)).toEqual(['joined'])
  })
})

describe('kept spans, which are written later', () => {
  it('lie inside of the one that caused them, with the time that each took', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    const before = Date.now()
    const depths = 20
    const nest = (depth: number): void => {
      if (depth > 0) withSpan(`depth ${depth}`, {}, () => nest(depth - 1))
    }
    nest(depths)
    const spans = await sink.spans(depths)
    const byDepth = spans.toSorted((a, b) => Number(b.name.slice(6)) - Number(a.name.slice(6)))
    for (const [index, inner] of byDepth.entries()) {
      const outer = byDepth[index - 1]
      if (!outer) continue
      expect(inner.parentSpanId).toBe(outer.spanId)
      expect(inner.startedAtMs).toBeGreaterThanOrEqual(outer.startedAtMs)
      expect(inner.endedAtMs).toBeLessThanOrEqual(outer.endedAtMs)
    }
    expect(byDepth[0]?.startedAtMs).toBeGreaterThan(before - 2)
    expect(byDepth[0]?.endedAtMs).toBeLessThan(Date.now() + 2)
  })

  it('have what they were given until they ended', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    const attributes = { n: 1 }
    const { span } = startSpan('it', { attributes })
    attributes.n = 2
    span.end()
    span.setAttribute('late', true).setAttributes({ later: true }).addEvent('late')
    span.setStatus({ code: SpanStatusCode.ERROR }).updateName('late').end()
    expect(await sink.spans(1)).toMatchObject([{ name: 'it', attributes: { n: 1 }, statusCode: 0 }])
    expect(sink.received[0]?.raw).not.toContain('late')
  })

  it('have events at their times, and what an error said when it was recorded', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    const at = Date.UTC(2026, 0)
    const { span } = startSpan('it')
    const error = new Error('first')
    recordFailure(span, error)
    error.message = 'second'
    span.addEvent('given', new Date(at)).addEvent('also', { a: 1 }, at)
    span.end()
    const [written] = await sink.spans(1)
    expect(written?.raw).toContain('first')
    expect(written?.raw).not.toContain('second')
    const [thrown, ...given] = written?.events ?? []
    expect(thrown?.name).toBe('exception')
    expect(thrown?.atMs).toBeGreaterThanOrEqual(written?.startedAtMs ?? Infinity)
    expect(thrown?.atMs).toBeLessThanOrEqual(written?.endedAtMs ?? 0)
    expect(given).toMatchObject([
      { name: 'given', atMs: at },
      { name: 'also', atMs: at },
    ])
  })

  it('have their last events, of however many', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    const { span } = startSpan('long')
    for (let at = 0; at < 1000; at++) span.addEvent(`event ${at}`)
    span.end()
    const [written] = await sink.spans(1)
    const last = Array.from({ length: 128 }, (__, at) => `event ${872 + at}`)
    expect(written?.events.map(({ name }) => name)).toEqual(last)
  })

  it('are counted when one cannot be written, and the others are', async () => {
    await using sink = await startOtlpSink()
    await using tracing = start({ endpoint: sink.endpoint })
    withSpan('before', {}, () => {})
    const { span } = startSpan('broken')
    span.addLink({
      get context(): never {
        throw new Error('unreadable')
      },
    })
    span.end()
    withSpan('after', {}, () => {})
    await sink.spans(2)
    expect(sink.received.map(({ name }) => name)).toEqual(['before', 'after'])
    expect(tracing.drops).toMatchObject([{ reason: 'export_failed', count: 1 }])
  })

  it('are counted when they end behind the shutdown', async () => {
    await using sink = await startOtlpSink()
    const tracing = start({ endpoint: sink.endpoint })
    const { span } = startSpan('late')
    const stopped = tracing.shutdown(1000)
    span.end()
    expect(tracing.drops).toMatchObject([{ reason: 'shutdown', count: 1 }])
    expect(await stopped).toBe(true)
  })

  it('lend their ids to no other that begins while they are written', async () => {
    await using sink = await startOtlpSink('hang')
    const ids: string[] = []
    const { shutdown } = start({
      endpoint: sink.endpoint,
      maxQueueSize: 1,
      maxBatchSize: 1,
      onDrop: () => ids.push(startSpan('of the drop', { parent: 'root' }).span.spanContext().spanId),
    })
    for (let i = 0; i < 300; i++) startSpan('it', { parent: 'root' }).span.end()
    await shutdown(50)
    expect(ids.length).toBeGreaterThan(200)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('may have begun before they were made', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    startSpan('late', { startTime: performance.now() - 250 }).span.end()
    const [span] = await sink.spans(1)
    const tookMs = (span?.endedAtMs ?? 0) - (span?.startedAtMs ?? 0)
    expect(tookMs).toBeGreaterThanOrEqual(250)
    expect(tookMs).toBeLessThan(1250)
  })
})

describe('a span that is to come', () => {
  it.each([
    { how: 'goes by its caller', followParent: true, traceparent: remote, isWritten: true },
    { how: 'goes by its caller', followParent: true, traceparent: remoteUnsampled, isWritten: false },
    { how: 'goes by its own trace', followParent: false, traceparent: remote, isWritten: false },
  ])('$how ($traceparent)', async ({ followParent, traceparent, isWritten }) => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint, followParent, sampleRatio: 0 })
    const parent = extractTraceparent(traceparent)
    if (!parent) throw new Error('no traceparent')
    expect(keepsBelow(parent)).toBe(isWritten)
    expect(isKept(startSpan('it', { parent }).span)).toBe(isWritten)
  })

  it('is kept by nobody while no SDK runs', () => {
    const parent = extractTraceparent(remote)
    expect(parent && keepsBelow(parent)).toBe(false)
  })
})

describe('a collector that fails', () => {
  it('costs spans that are counted, when it refuses them', async () => {
    await using sink = await startOtlpSink('refuse')
    const tracing = start({ endpoint: sink.endpoint })
    withSpan('a', {}, () => withSpan('b', {}, () => {}))
    await sink.spans(2)
    await tracing.shutdown(2000)
    expect(tracing.drops).toMatchObject([{ reason: 'export_failed', count: 2 }])
  })

  it('costs spans beyond the queue, when it hangs', async () => {
    await using sink = await startOtlpSink('hang')
    const tracing = start({
      endpoint: sink.endpoint,
      maxQueueSize: 10,
      maxBatchSize: 5,
      exportTimeoutMs: 200,
    })
    for (let i = 0; i < 5; i++) withSpan('sent', {}, () => {})
    await sink.spans(5)
    for (let i = 0; i < 25; i++) withSpan('queued', {}, () => {})
    expect(await tracing.shutdown(50)).toBe(false)
    expect(tracing.drops.filter(({ reason }) => reason === 'queue_full')).toHaveLength(15)
  })

  it('never holds up the exit longer than the deadline', async () => {
    await using sink = await startOtlpSink('hang')
    const tracing = start({ endpoint: sink.endpoint, exportTimeoutMs: 60_000, scheduledDelayMs: 60_000 })
    withSpan('a', {}, () => {})
    const startedAt = performance.now()
    expect(await tracing.shutdown(50)).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })

  it('sends what waits at shutdown', async () => {
    await using sink = await startOtlpSink()
    const tracing = start({ endpoint: sink.endpoint, scheduledDelayMs: 60_000 })
    withSpan('late', {}, () => {})
    expect(await tracing.shutdown(5000)).toBe(true)
    expect(await sink.spans(1)).toHaveLength(1)
    expect(isTracing()).toBe(false)
  })
})

describe('without an SDK', () => {
  it('registers nothing when disabled', async () => {
    const tracing = start({ endpoint: 'http://127.0.0.1:1', disabled: true })
    expect(isTracing()).toBe(false)
    expect(await tracing.shutdown(0)).toBe(true)
  })

  it('runs the function and hands on its result and its error', async () => {
    expect(withSpan('a', {}, (span) => span.isRecording())).toBe(false)
    expect(await withSpan('a', {}, () => Promise.resolve(1))).toBe(1)
    expect(() =>
      withSpan('a', {}, () => {
        throw new RangeError('x')
      }),
    ).toThrow(RangeError)
  })

  it('passes the traceparent that came in on unchanged', () => {
    expect(injectTraceparent()).toBeUndefined()
    expect(runWithContext({ traceparent: remote }, injectTraceparent)).toBe(remote)
  })

  it('refuses impossible options', () => {
    const bad: Partial<TracingOptions>[] = [
      { sampleRatio: 1.1 },
      { maxQueueSize: 1 },
      { exportTimeoutMs: 0 },
      { endpoint: 'http://[' },
    ]
    for (const options of bad)
      expect(() => start({ endpoint: 'http://127.0.0.1:1', ...options })).toThrow(
        expect.objectContaining({ code: 'invalid_option' }),
      )
  })
})

describe('traceparent', () => {
  it('carries the active span, and is read back as remote', async () => {
    await using sink = await startOtlpSink()
    await using _ = start({ endpoint: sink.endpoint })
    withSpan('a', {}, (span) => {
      const { traceId, spanId } = span.spanContext()
      expect(injectTraceparent()).toBe(`00-${traceId}-${spanId}-01`)
      expect(extractTraceparent(injectTraceparent())).toEqual({
        traceId,
        spanId,
        traceFlags: 1,
        isRemote: true,
      })
    })
  })

  it.each([
    undefined,
    5,
    '',
    'x',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331',
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more',
    `01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-${'x'.repeat(300)}`,
  ])('refuses %s', (value) => {
    expect(extractTraceparent(value)).toBeUndefined()
  })

  it('reads a later version as far as it is known', () => {
    const value = '01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more'
    expect(extractTraceparent(value)).toMatchObject({ traceFlags: 1 })
  })
})

it('puts traceId and spanId on log lines inside a span only', async () => {
  await using sink = await startOtlpSink()
  await using _ = start({ endpoint: sink.endpoint })
  const { logger, sink: lines } = testLogger()
  logger.info('outside')
  const ids = withSpan('a', {}, (span) => {
    logger.info('inside')
    return span.spanContext()
  })
  expect(lines.lines[0]).not.toHaveProperty('traceId')
  expect(lines.lines[1]).toMatchObject({ traceId: ids.traceId, spanId: ids.spanId })
  expect(lines.text).toMatch(/"traceId"\s*:\s*"([0-9a-fA-F]{32})"/)
  expect(trace.getActiveSpan()).toBeUndefined()
})
