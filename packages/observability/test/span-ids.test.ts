import { ROOT_CONTEXT } from '@opentelemetry/api'
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace'
import { expect, it } from 'vitest'
import { keptBelow, SpanIds } from '../src/span-ids.ts'

it('makes ids that are valid and never the same', () => {
  const ids = new SpanIds()
  const made = Array.from({ length: 2000 }, () => [ids.generateTraceId(), ids.generateSpanId()])
  for (const [traceId, spanId] of made) {
    expect(traceId).toMatch(/^[0-9a-f]{32}$/)
    expect(spanId).toMatch(/^[0-9a-f]{16}$/)
  }
  expect(new Set(made.flat()).size).toBe(4000)
})

it.each([0, 0.01, 0.3, 1])("keeps the traces that the SDK's sampler keeps, of %d", (share) => {
  const ids = new SpanIds()
  const sampler = new TraceIdRatioBasedSampler(share)
  for (let i = 0; i < 2000; i += 1) {
    const { traceId, isKept } = ids.newTrace(keptBelow(share))
    const { decision } = sampler.shouldSample(ROOT_CONTEXT, traceId)
    expect(isKept).toBe(decision === SamplingDecision.RECORD_AND_SAMPLED)
  }
})
