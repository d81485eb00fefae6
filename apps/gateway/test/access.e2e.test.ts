/** The operator's own rules, given to `createGateway`: who may come to a table, and what may be said there. */
import { createLogger } from '@gw/observability/logger'
import { createMetrics } from '@gw/observability/metrics'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectWs, type TestMessage } from '@gw/testing'
import { loadConfig } from '../src/config.ts'
import { createGateway, type Gateway } from '../src/server.ts'
import type { TableRule } from '../src/services/table-access.ts'
import { backendsOf, type Demo, secret, startDemo, tokenOf } from './harness/platform.ts'
import { connectPlayer } from './harness/player.ts'

let demo: Demo
let gateway: Gateway
let url: string
let wsUrl: string
const asked: string[] = []
const denied = new Set<string>()
let isBroken = false

/** Who was denied a purpose may not; `broken` gives no answer. */
const tableRule: TableRule = ({ tableId, identity, purpose }) => {
  asked.push(`${identity.subject} ${purpose}`)
  if (isBroken) throw new Error('no answer')
  return tableId !== '' && !denied.has(`${identity.subject} ${purpose}`)
}

beforeAll(async () => {
  demo = await startDemo()
  const config = loadConfig({
    ...backendsOf(demo),
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_HOST: '127.0.0.1',
    METRICS_PORT: '0',
    INTERNAL_PORT: '0',
    JWT_HS256_SECRET: secret,
    OTEL_SDK_DISABLED: 'true',
    LOG_LEVEL: 'error',
  })
  const logger = createLogger({ service: 'gateway', instanceId: 'access', level: 'error' })
  gateway = createGateway({
    config,
    instanceId: 'access',
    version: '0.0.0',
    hasMetricsPort: false,
    logger,
    audit: logger,
    metrics: createMetrics({ logLinesDropped: logger.dropped }),
    hooks: {
      tableRule,
      chatFilter: async ({ text }) =>
        text === 'spam' ? { allowed: false } : { allowed: true, text: text.replace('darn', '****') },
    },
  })
  const { port } = await gateway.start()
  url = `http://127.0.0.1:${port}`
  wsUrl = `ws://127.0.0.1:${port}/ws`
})

afterAll(async () => {
  await gateway?.stop()
  await demo?.[Symbol.asyncDispose]()
})

async function createTable(userId: string): Promise<string> {
  const response = await fetch(`${url}/api/tables`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokenOf(userId)}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Private' }),
  })
  return ((await response.json()) as { readonly table_id: string }).table_id
}

test('the rule is asked on subscribe, resync, chat and joining a seat; a no is forbidden, and ends what there was', async () => {
  const tableId = await createTable('acc-ann')
  await using ann = await connectPlayer(wsUrl, 'acc-ann')
  const ask = (type: string, more: object = {}): Promise<TestMessage> => ann.ask({ type, tableId, ...more })
  expect(await ask('SubscribeTable')).toMatchObject({ type: 'TableSnapshot' })
  expect(await ask('SubscribeChat')).toMatchObject({ type: 'ChatSubscribed' })
  expect(asked.splice(0)).toEqual(['acc-ann watch', 'acc-ann chat'])

  for (const purpose of ['watch', 'chat', 'play']) denied.add(`acc-ann ${purpose}`)
  const forbidden = { type: 'Error', code: 'forbidden', retryable: false }
  expect(await ask('ResyncTable')).toMatchObject(forbidden)
  expect(await ask('SubscribeChat')).toMatchObject(forbidden)
  expect(await ask('GetChatHistory')).toMatchObject(forbidden)
  expect(await ask('JoinSeat', { seatId: 1 })).toMatchObject(forbidden)
  expect(await ask('ChatSend', { message: 'hi' })).toMatchObject({ type: 'ChatError', reason: 'not_seated' })
  const before = ann.socket.received.length
  await using ben = await connectPlayer(wsUrl, 'acc-ben')
  await ben.ask({ type: 'SubscribeTable', tableId })
  await ben.ask({ type: 'SubscribeChat', tableId })
  await ben.ask({ type: 'ChatSend', tableId, message: 'without ann' })
  await ben.next('ChatMessage')
  await ann.ask({ type: 'Ping' })
  const heard = ann.socket.received.slice(before).map(({ type }) => type)
  expect(heard).not.toContain('TableSnapshot')
  expect(heard).not.toContain('ChatMessage')
  denied.clear()
})

test('the rule is asked again on resume; a rule that gives no answer is unavailable, not a yes', async () => {
  const tableId = await createTable('acc-cat')
  await using cat = await connectPlayer(wsUrl, 'acc-cat')
  const table = await cat.ask({ type: 'SubscribeTable', tableId })
  const chat = await cat.ask({ type: 'SubscribeChat', tableId })
  const at = ({ epoch, seq }: TestMessage) => ({ epoch, seq })
  const resume = { [`chat:${tableId}`]: at(chat), [`table:${tableId}`]: at(table) }
  async function resumed(): Promise<unknown> {
    await using socket = await connectWs(wsUrl)
    socket.send({ type: 'Authenticate', token: tokenOf('acc-cat'), features: ['acks'], resume })
    return (await socket.next('Resumed'))['channels']
  }
  denied.add('acc-cat watch')
  expect(await resumed()).toMatchObject({
    [`table:${tableId}`]: { recovered: false, error: 'forbidden' },
    [`chat:${tableId}`]: { recovered: true },
  })
  denied.clear()
  isBroken = true
  expect(await resumed()).toEqual({
    [`table:${tableId}`]: { recovered: false, error: 'unavailable' },
    [`chat:${tableId}`]: { recovered: false, error: 'unavailable' },
  })
  isBroken = false
})

test('the filter has the last word on a line: masked, or blocked and said so', async () => {
  const tableId = await createTable('acc-dan')
  await using dan = await connectPlayer(wsUrl, 'acc-dan')
  await dan.ask({ type: 'SubscribeTable', tableId })
  await dan.ask({ type: 'SubscribeChat', tableId })
  await dan.ask({ type: 'ChatSend', tableId, message: 'darn it' })
  expect(await dan.next('ChatMessage')).toMatchObject({ message: { text: '**** it' } })
  expect(await dan.ask({ type: 'ChatSend', tableId, message: 'spam' })).toMatchObject({ reason: 'blocked' })
})
