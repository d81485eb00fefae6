import { expect, test } from 'vitest'
import { GatewayError } from '../src/errors.ts'
import { keepTrying } from '../src/ws/keep-trying.ts'

const away = new GatewayError('unavailable')
const soon = { baseMs: 1, maxMs: 1 }

test('what may pass is tried again until it works, and told once', async () => {
  const errors: unknown[] = []
  let tries = 0
  await keepTrying({
    ...soon,
    attempt: () => (++tries < 4 ? Promise.reject(away) : Promise.resolve()),
    isWanted: () => true,
    onError: (error) => errors.push(error),
  })
  expect([tries, errors]).toEqual([4, [away]])
})

test('what no attempt could mend is told and given up', async () => {
  const errors: unknown[] = []
  const forbidden = new GatewayError('forbidden')
  await keepTrying({
    ...soon,
    attempt: () => Promise.reject(forbidden),
    isWanted: () => true,
    onError: (error) => errors.push(error),
  })
  expect(errors).toEqual([forbidden])
})

test('nothing is tried for a connection that has gone', async () => {
  let tries = 0
  await keepTrying({
    ...soon,
    attempt: () => (tries++, Promise.reject(away)),
    isWanted: () => tries < 2,
    onError() {},
  })
  expect(tries).toBe(2)
})
