import type { Identity, VerifyResult } from '@gw/auth'
import { createConnection } from '@gw/connections'
import { expect, test } from 'vitest'
import type { ClientSession } from '../src/ws/client-session.ts'
import { createSession, type SessionContext } from '../src/ws/session.ts'
import { createTokenLives } from '../src/ws/token-life.ts'
import { silentSocket } from './harness/silent-socket.ts'

const identity: Identity = {
  subject: 'ann',
  expiresAtMs: Date.now() + 3_600_000,
  scopes: [],
  roles: [],
  claims: {},
}

/** A session whose tokens are verified when the test says so. */
function setUp(refusal?: 'try_later') {
  const verdicts: PromiseWithResolvers<VerifyResult>[] = []
  const verdictAt = (at: number): PromiseWithResolvers<VerifyResult> =>
    (verdicts[at] ??= Promise.withResolvers<VerifyResult>())
  let asked = 0
  const renewed: ClientSession[] = []
  const events: string[] = []
  const connection = createConnection({
    id: 'c',
    socket: silentSocket(),
    onMessage() {},
    onClose() {},
  })
  const tokenLives = createTokenLives({})
  const context: SessionContext = {
    verifier: {
      verifyToken: () => verdictAt(asked++).promise,
      ready: () => true,
      whenReady: () => Promise.resolve(),
      revoke: () => Promise.resolve(),
      acceptLogoutToken: () => Promise.reject(new Error('not asked')),
      onRevoked: () => () => {},
      close: () => Promise.resolve(),
    },
    dispatch: () => Promise.resolve(undefined),
    limit: () => Promise.resolve(undefined),
    instanceId: 'i',
    heartbeatMs: 1000,
    authTimeoutMs: 60_000,
    tokenLives,
    onReady() {},
    restore: () => Promise.resolve(),
    scope: (_facts, run) => run(),
    onSent() {},
    onEvent: (event) => events.push(event.type),
  }
  const session = createSession(
    {
      connection,
      requestId: 'r',
      address: '127.0.0.1',
      clientType: 'web',
      admit: () => refusal,
      renewed: (client) => renewed.push(client),
    },
    context,
  )
  const authenticate = (): Promise<void> =>
    session.receive(Buffer.from(JSON.stringify({ type: 'Authenticate', token: 't', features: ['acks'] })))
  return {
    session,
    renewed,
    events,
    authenticate,
    verify: (at: number) => verdictAt(at).resolve({ ok: true, identity }),
    [Symbol.dispose]: () => tokenLives.close(),
  }
}

test('a user with too many sockets never had a session that could end', async () => {
  using refused = setUp('try_later')
  const entering = refused.authenticate()
  refused.verify(0)
  await entering
  expect(refused.session.end()).toBeUndefined()
  expect(refused.events).toEqual(['auth_refused'])
})

test('a token that is verified behind the close renews nothing: the socket would be listed for ever', async () => {
  using open = setUp()
  const entering = open.authenticate()
  open.verify(0)
  await entering
  const renewing = open.authenticate()
  expect(open.session.end()?.userId).toBe('ann')
  open.verify(1)
  await renewing
  expect(open.renewed).toEqual([])
})

test('what a client states behind the close is not taken either, after a token in the handshake', async () => {
  using open = setUp()
  const entering = open.session.open('t')
  open.verify(0)
  await entering
  const stating = open.authenticate()
  open.session.end()
  open.verify(1)
  await stating
  expect(open.renewed).toEqual([])
})
