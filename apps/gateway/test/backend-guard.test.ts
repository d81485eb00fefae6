import { expect, test } from 'vitest'
import { type FailureReason, GatewayError } from '../src/errors.ts'
import { type BreakerState, createBackendGuard, type GuardedCall } from '../src/grpc/backend-guard.ts'

const soon = () => performance.now() + 5000

function calling<T>(run: () => Promise<T>, idempotent = false): GuardedCall<T> {
  return { run, idempotent, deadlineAtMs: soon() }
}

const ill = () => Promise.reject(new GatewayError('timeout', undefined, { reason: 'upstream_timeout' }))

test('five failures in a row open the breaker: calls are refused at once, with a retry time; later one call closes it', async () => {
  const states: BreakerState[] = []
  const guard = createBackendGuard({ openMs: 30, onState: (state) => states.push(state) })
  for (let at = 0; at < 5; at++)
    await expect(guard.call(calling(ill))).rejects.toMatchObject({ code: 'timeout' })
  let reached = false
  const probe = calling(() => {
    reached = true
    return Promise.resolve('well')
  })
  await expect(guard.call(probe)).rejects.toMatchObject({
    code: 'unavailable',
    retryAfterMs: 30,
    reason: 'breaker_open',
  })
  expect(reached).toBe(false)
  await expect.poll(() => guard.call(probe).catch(() => 'refused')).toBe('well')
  expect(guard.state).toBe('closed')
  expect(states).toEqual(['open', 'half_open', 'closed'])
})

test('a refusal is an answer: it never opens the breaker, and ends a row of failures', async () => {
  const guard = createBackendGuard()
  const refusal = () => Promise.reject(new GatewayError('not_found'))
  for (let at = 0; at < 50; at++)
    await expect(guard.call(calling(refusal))).rejects.toMatchObject({ code: 'not_found' })
  for (let at = 0; at < 4; at++) await guard.call(calling(ill)).catch(() => {})
  await guard.call(calling(refusal)).catch(() => {})
  for (let at = 0; at < 4; at++) await guard.call(calling(ill)).catch(() => {})
  expect(guard.state).toBe('closed')
})

test('a request whose own time was too short never opens the breaker: a hasty client must not shut others out', async () => {
  const guard = createBackendGuard()
  const hasty = () => Promise.reject(new GatewayError('timeout', undefined, { reason: 'budget_spent' }))
  for (let at = 0; at < 50; at++)
    await expect(guard.call(calling(hasty))).rejects.toMatchObject({ reason: 'budget_spent' })
  expect(guard.state).toBe('closed')
})

test('more calls at once than the cap are refused, not queued', async () => {
  const guard = createBackendGuard({ maxConcurrent: 2 })
  const { promise, resolve } = Promise.withResolvers<string>()
  const running = [guard.call(calling(() => promise)), guard.call(calling(() => promise))]
  await expect(guard.call(calling(() => promise))).rejects.toMatchObject({ code: 'unavailable' })
  resolve('done')
  expect(await Promise.all(running)).toEqual(['done', 'done'])
  expect(await guard.call(calling(() => promise))).toBe('done')
})

test('a read is tried once more when the backend was away; a change never, a late answer never, a refusal never', async () => {
  const guard = createBackendGuard()
  const counted = (code: 'unavailable' | 'timeout', reason?: FailureReason) => {
    const counter = { calls: 0 }
    const run = (): Promise<string> => {
      counter.calls++
      const error = new GatewayError(code, undefined, reason && { reason })
      return counter.calls === 1 ? Promise.reject(error) : Promise.resolve('second')
    }
    return { counter, run }
  }
  const read = counted('unavailable', 'upstream_unavailable')
  expect(await guard.call(calling(read.run, true))).toBe('second')
  const change = counted('unavailable', 'upstream_unavailable')
  await expect(guard.call(calling(change.run, false))).rejects.toMatchObject({ code: 'unavailable' })
  expect(change.counter.calls).toBe(1)
  const refused = counted('unavailable')
  await expect(guard.call(calling(refused.run, true))).rejects.toMatchObject({ code: 'unavailable' })
  expect(refused.counter.calls).toBe(1)
  const late = counted('timeout', 'upstream_timeout')
  await expect(guard.call(calling(late.run, true))).rejects.toMatchObject({ code: 'timeout' })
  expect(late.counter.calls).toBe(1)
})

test('retries have a budget: a backend that is always away is not called twice for each call', async () => {
  const guard = createBackendGuard({ openMs: 60_000 })
  let calls = 0
  const away = calling(() => {
    calls++
    const error = new GatewayError('unavailable', undefined, { reason: 'upstream_unavailable' })
    return calls % 3 === 0 ? Promise.resolve('now and then') : Promise.reject(error)
  }, true)
  const asked = 60
  for (let at = 0; at < asked; at++) await guard.call(away).catch(() => {})
  // Three spare retries and one for ten calls.
  expect(calls).toBeLessThanOrEqual(asked + 3 + asked / 10)
})

const gone = () => Promise.reject(new GatewayError('cancelled'))

test('a call that its client gave up says nothing: a row of failures goes on, and no half is pulled down', async () => {
  const inARow = createBackendGuard()
  for (let at = 0; at < 4; at++) {
    await inARow.call(calling(ill)).catch(() => {})
    await expect(inARow.call(calling(gone))).rejects.toMatchObject({ code: 'cancelled' })
    const left = { ...calling(() => Promise.resolve('client_closed')), isSilent: () => true }
    expect(await inARow.call(left)).toBe('client_closed')
  }
  expect(inARow.state).toBe('closed')
  await inARow.call(calling(ill)).catch(() => {})
  expect(inARow.state).toBe('open')
})

test('while one call tries whether the backend is back, others are refused at once; a try that its client gave up is none', async () => {
  const guard = createBackendGuard({ openMs: 30 })
  for (let at = 0; at < 5; at++) await guard.call(calling(ill)).catch(() => {})
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<string>()
  const probe = calling(() => {
    asked.resolve()
    return answer.promise
  })
  // Refused until the time is over.
  const tried = (async (): Promise<unknown> => {
    for (;;) {
      const error: unknown = await guard.call(probe).catch((refused: unknown) => refused)
      if (!(error instanceof GatewayError) || error.reason !== 'breaker_open') return error
      await new Promise(setImmediate)
    }
  })()
  await asked.promise
  expect(guard.state).toBe('half_open')
  let reached = false
  const other = calling(() => {
    reached = true
    return Promise.resolve('well')
  })
  await expect(guard.call(other)).rejects.toMatchObject({ reason: 'breaker_open', retryAfterMs: 30 })
  expect(reached).toBe(false)
  answer.reject(new GatewayError('cancelled'))
  expect(await tried).toMatchObject({ code: 'cancelled' })
  expect(guard.state).toBe('open')
})

test('what a call of before says nothing of does not end the try of another', async () => {
  const guard = createBackendGuard({ openMs: 30 })
  const old = Promise.withResolvers<string>()
  const before = guard.call(calling(() => old.promise)).catch(() => 'gone')
  for (let at = 0; at < 5; at++) await guard.call(calling(ill)).catch(() => {})
  const answer = Promise.withResolvers<string>()
  const tried = (async (): Promise<unknown> => {
    for (;;) {
      const result: unknown = await guard.call(calling(() => answer.promise)).catch(() => undefined)
      if (result !== undefined) return result
      await new Promise(setImmediate)
    }
  })()
  await expect.poll(() => guard.state).toBe('half_open')
  old.reject(new GatewayError('cancelled'))
  expect(await before).toBe('gone')
  expect(guard.state).toBe('half_open')
  answer.resolve('well')
  expect(await tried).toBe('well')
  expect(guard.state).toBe('closed')
})
