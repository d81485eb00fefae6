import { createContextKey, INVALID_SPAN_CONTEXT, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { expect, it } from 'vitest'
import { SpanScope } from '../src/span-scope.ts'

const [key, other] = [createContextKey('key'), createContextKey('other')]
const span = trace.wrapSpanContext(INVALID_SPAN_CONTEXT)
const inner = trace.wrapSpanContext(INVALID_SPAN_CONTEXT)

it('has its span, and all else of the context around it', () => {
  const scope = new SpanScope(ROOT_CONTEXT.setValue(key, 1), span)
  expect(trace.getSpan(scope)).toBe(span)
  expect(scope.getValue(key)).toBe(1)
  expect(scope.getValue(other)).toBeUndefined()
})

it('is not changed by what is set or deleted, and loses nothing by it', () => {
  const scope = new SpanScope(ROOT_CONTEXT.setValue(key, 1), span)
  const more = scope.setValue(other, 2)
  expect([trace.getSpan(more), more.getValue(key), more.getValue(other)]).toEqual([span, 1, 2])
  expect(scope.getValue(other)).toBeUndefined()
  expect(trace.getSpan(trace.setSpan(scope, inner))).toBe(inner)
  expect(trace.getSpan(trace.deleteSpan(scope))).toBeUndefined()
  expect(trace.getSpan(new SpanScope(scope, inner))).toBe(inner)
  expect(trace.getSpan(scope)).toBe(span)
})
