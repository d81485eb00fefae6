/** Limits of messages by kind and cost, on one instance with little room and a window that does not end. */
import type { TestMessage, TestWsClient } from '@gw/testing'
import { afterAll, expect, test } from 'vitest'
import { startSingle } from './harness/fleet.ts'
import { signIn } from './harness/player.ts'

const single = await startSingle({
  env: { TRUST_PROXY_HOPS: '1', WS_RATE_LIMIT_MAX: '4', WS_RATE_LIMIT_WINDOW_MS: '3600000' },
})
afterAll(() => single[Symbol.asyncDispose]())
const { gateway } = single

const connect = (userId: string, address: string): Promise<TestWsClient> =>
  signIn(gateway.wsUrl, userId, { features: ['acks'], headers: { 'x-forwarded-for': address } })

/** Sends it with an id, and returns the answer. */
async function ask(socket: TestWsClient, message: Readonly<Record<string, unknown>>): Promise<TestMessage> {
  const id = `q${asked++}`
  socket.send({ ...message, id })
  return socket.next((answer) => answer['id'] === id)
}
let asked = 0

const limited = { type: 'Error', code: 'rate_limited', retryable: true, retryAfterMs: expect.any(Number) }

test('subscribing and resyncing cost three units of 60, for the user on all sockets, apart from actions and chat', async () => {
  const tableId = await gateway.createTable('owner')
  const first = await connect('ann', '203.0.113.1')
  for (let at = 0; at < 10; at += 1)
    expect(await ask(first, { type: 'ResyncTable', tableId })).toMatchObject({ type: 'TableSnapshot' })
  const second = await connect('ann', '203.0.113.2')
  for (let at = 0; at < 9; at += 1)
    expect(await ask(second, { type: 'SubscribeTable', tableId })).toMatchObject({
      type: 'TableSnapshot',
    })
  // 57 are used: three small ones are left, or one more subscription.
  expect(await ask(second, { type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect(await ask(first, { type: 'ResyncTable', tableId })).toMatchObject(limited)
  expect(await ask(first, { type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect(await ask(second, { type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect(await ask(first, { type: 'Ping' })).toMatchObject(limited)
  // Actions have room of their own.
  const action = { type: 'Action', tableId, handId: 'none', action: 'Fold' }
  expect(await ask(first, action)).not.toMatchObject({ reason: 'rate_limited' })
  await Promise.all([first.close(), second.close()])
})

test('users behind one address share its budget; another address has its own', async () => {
  const tableId = await gateway.createTable('owner')
  const users = ['ben', 'cleo', 'dora']
  const refused: boolean[] = []
  for (const userId of users) {
    const socket = await connect(userId, '203.0.113.9')
    for (let at = 0; at < 8; at += 1)
      refused.push((await ask(socket, { type: 'ResyncTable', tableId }))['type'] === 'Error')
    await socket.close()
  }
  expect(refused.filter((is) => !is)).toHaveLength(20)
  expect(refused.indexOf(true)).toBe(20)
  const elsewhere = await connect('dora', '203.0.113.10')
  expect(await ask(elsewhere, { type: 'ResyncTable', tableId })).toMatchObject({
    type: 'TableSnapshot',
  })
  await elsewhere.close()
})

test('of a burst sent at once the first are taken, in order', async () => {
  const socket = await connect('eve', '203.0.113.20')
  const tableId = await gateway.createTable('owner')
  for (let at = 0; at < 10; at += 1)
    socket.send({ type: 'Action', tableId, handId: 'none', action: 'Fold', id: `b${at}` })
  const answers: string[] = []
  for (let at = 0; at < 10; at += 1) {
    const answer = await socket.next((message) => /^b\d$/.test(String(message['id'])))
    answers.push(`${String(answer['id'])} ${answer['reason'] === 'rate_limited' ? 'refused' : 'taken'}`)
  }
  expect(answers).toEqual(Array.from({ length: 10 }, (_, at) => `b${at} ${at < 4 ? 'taken' : 'refused'}`))
  await socket.close()
})
