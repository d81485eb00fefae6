import { createConnection } from '@gw/connections'
import { expect, test } from 'vitest'
import { GatewayError } from '../src/errors.ts'
import type { ClientSession } from '../src/ws/client-session.ts'
import { createLateAnswers } from '../src/ws/late-answers.ts'
import { silentSocket } from './harness/silent-socket.ts'

const away = new GatewayError('unavailable')

function sessionOf(connectionId: string): ClientSession {
  return {
    connectionId,
    userId: 'ann',
    identity: { subject: 'ann', expiresAtMs: 0, scopes: [], roles: [], claims: {} },
    address: '127.0.0.1',
    clientType: 'web',
    features: new Set(),
    connection: createConnection({ id: connectionId, socket: silentSocket(), onMessage() {}, onClose() {} }),
    send() {},
  }
}

test('what failed at first is tried until it works, and the failure is told once', async () => {
  const errors: unknown[] = []
  const late = createLateAnswers((error) => errors.push(error))
  const answered = Promise.withResolvers<boolean>()
  let tries = 0
  late.begin(sessionOf('c'), 'table:T', {
    error: away,
    async attempt(isWanted) {
      if (++tries < 2) throw away
      answered.resolve(isWanted())
    },
  })
  expect(await answered.promise).toBe(true)
  expect(errors).toEqual([away])
})

test('an answer to a channel that was left, or asked for anew, meanwhile is not wanted', async () => {
  const late = createLateAnswers(() => {})
  const session = sessionOf('c')
  const seen: boolean[] = []
  for (const change of [
    () => late.end(session, 'table:T'),
    () => late.begin(session, 'table:T', { error: away, attempt: () => Promise.resolve() }),
    () => session.connection.close(1000, ''),
  ]) {
    const tried = Promise.withResolvers<void>()
    late.begin(session, 'table:T', {
      error: away,
      async attempt(isWanted) {
        change()
        seen.push(isWanted())
        tried.resolve()
      },
    })
    await tried.promise
  }
  expect(seen).toEqual([false, false, false])
})
