/** A day at the tables by a script, and then every count on `/metrics` is what it must be. */
import { spawnSync } from 'node:child_process'
import { connectWs, lintFamily } from '@gw/testing'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { startFleet } from './harness/fleet.ts'
import { tokenOf } from './harness/platform.ts'
import { connectPlayer, signIn } from './harness/player.ts'
import { type Scrape, scrape, scrapeUntil } from './harness/scrape.ts'

let before: Scrape
let after: Scrape

const httpLimit = 40
const fleet = await startFleet({
  gateways: [{ INSTANCE_ID: 'day', HTTP_RATE_LIMIT_MAX: String(httpLimit), WS_RATE_LIMIT_MAX: '10' }],
  demo: { EVENT_ACCEPT_SESSIONS: 'true' },
})
afterAll(() => fleet[Symbol.asyncDispose]())
const {
  demo,
  gateways: [gateway],
  redis,
} = fleet

beforeAll(async () => {
  before = await scrape(gateway)
  await live()
  const isQuiet = (now: Scrape): boolean =>
    now.value('gateway_ws_open_sockets') === 0 &&
    now.value('gateway_session_events_queued') === 0 &&
    (now.value('gateway_session_events_sent_total') ?? 0) >= 6 &&
    now.value('gateway_http_requests_in_flight') === 0 &&
    now.value('gateway_ingest_malformed_total') === 4 &&
    // The gateway's own go on listening (the lobby's feed, mutes); the clients' seven are left a second after their last.
    (now.value('gateway_channel_subscriptions') ?? 0) <= 3
  after = await scrapeUntil(gateway, isQuiet, (now) => now.text)
}, 90_000)

/** Connects, plays, limits, faults; nothing here depends on how fast the machine is. */
async function live(): Promise<void> {
  // Strangers: one with a bad token over each way in.
  expect((await gateway.fetch('/api/tables')).status).toBe(401)
  await using stranger = await connectWs(gateway.wsUrl)
  stranger.send({ type: 'Authenticate', token: `${tokenOf('x').slice(0, -4)}AAAA` })
  expect((await stranger.closed).code).toBe(1008)

  const tableId = await gateway.createTable('ann')
  await using ann = await connectPlayer(gateway.wsUrl, 'ann')
  await using ben = await connectPlayer(gateway.wsUrl, 'ben')
  const mobile = { 'user-agent': 'Poker/1 (Mobile)' }
  await using cat = await signIn(gateway.wsUrl, 'cat', { features: ['acks'], headers: mobile })
  const open = await scrape(gateway)
  expect(open.value('gateway_ws_active_connections', { client_type: 'web' })).toBe(2)
  expect(open.value('gateway_ws_active_connections', { client_type: 'mobile' })).toBe(1)
  expect(open.value('gateway_ws_open_sockets')).toBe(3)

  for (const player of [ann, ben]) await player.ask({ type: 'SubscribeTable', tableId })
  for (const [seatId, { userId }] of [ann, ben].entries()) await gateway.takeSeat(userId, tableId, seatId)
  for (const player of [ann, ben]) await player.ask({ type: 'SubscribeChat', tableId })
  // Five lines for two, then a flood: ten of the window's lines are taken, the rest refused.
  for (let at = 0; at < 5; at++)
    expect(await ann.ask({ type: 'ChatSend', tableId, message: `line ${at}` })).toMatchObject({ type: 'Ack' })
  for (let at = 0; at < 5; at++) await ben.next('ChatMessage')
  cat.send('no json')
  await cat.next('Error')
  cat.send({ type: 'Ping', id: 'p' })
  await cat.next('Pong')

  // A reconnect with a position, and one with a position of another life of the channel.
  const last = ben.socket.received.findLast(({ type }) => type === 'ChatMessage')
  const { epoch, seq } = z.object({ epoch: z.string(), seq: z.int() }).parse(last)
  await ben.ask({ type: 'SubscribeChat', tableId, since: { epoch, seq: seq - 2 } })
  await ben.ask({ type: 'SubscribeChat', tableId, since: { epoch: 'another', seq: 1 } })

  // Game fails twice: a route, and a socket's request.
  await demo.fault({ service: 'game', method: 'SubmitAction', kind: 'error', code: 'INTERNAL', count: 1 })
  const act = { userId: 'ann', method: 'POST', body: { actionType: 'FOLD' } }
  expect((await gateway.fetch(`/api/tables/${tableId}/action`, act)).status).toBe(500)

  // A backend publishes what is no envelope; what carries the gateway's own name is not looked at.
  const backend = new Redis(redis.url)
  const broken = { channel: 'table', tableId, payload: 'text', sourceId: 'game-service' }
  for (const message of ['{', JSON.stringify({ ...broken, sourceId: 'day' })])
    await backend.publish('gateway:ws:events', message)
  for (let at = 0; at < 3; at++) await backend.publish('gateway:ws:events', JSON.stringify(broken))
  await backend.quit()

  // A limit: one user's requests beyond the window.
  const answers = []
  for (let at = 0; at < httpLimit; at++)
    answers.push((await gateway.fetch('/api/push/vapid', { userId: 'dan' })).status)
  expect(answers.at(-1)).toBe(429)

  for (const socket of [ann.socket, ben.socket, cat]) await socket.close(1000, 'bye')
}

test('sockets: opened, refused, closed, and the gauges are back at zero', () => {
  for (const client_type of ['web', 'mobile'])
    expect(after.value('gateway_ws_active_connections', { client_type })).toBe(0)
  expect(after.value('gateway_ws_open_sockets')).toBe(0)
  expect(after.value('gateway_ws_queue_bytes')).toBe(0)
  expect(after.value('gateway_http_requests_in_flight')).toBe(0)
  expect(after.value('gateway_ws_session_duration_seconds_count', { client_type: 'web' })).toBe(2)
  expect(after.value('gateway_ws_session_duration_seconds_count', { client_type: 'mobile' })).toBe(1)
  expect(after.value('gateway_ws_closes_total', { code: '1000' })).toBe(3)
  expect(after.value('gateway_ws_slow_closes_total')).toBe(0)
  expect(after.value('gateway_auth_failures_total')).toBe(2)
  expect(after.value('gateway_session_events_sent_total')).toBe(6)
  expect(after.value('gateway_session_events_dropped_total')).toBe(0)
  expect(after.value('gateway_instances')).toBe(1)
})

test('messages in, by type and result', () => {
  const received = (type: string, result: string): number | undefined =>
    after.value('gateway_ws_messages_received_total', { type, result })
  expect(received('SubscribeTable', 'ok')).toBe(2)
  expect(received('SubscribeChat', 'ok')).toBe(4)
  expect(received('ChatSend', 'ok')).toBe(5)
  expect(received('Ping', 'ok')).toBe(1)
  expect(after.value('gateway_ws_messages_received_total', { type: 'invalid' })).toBe(1)
  expect(after.value('gateway_ws_messages_received_total')).toBe(13)
  expect(after.value('gateway_ws_message_duration_seconds_count')).toBe(13)
  expect(after.value('gateway_chat_messages_total', { result: 'accepted' })).toBe(5)
})

test('messages out: each chat line is one fan-out to two, and the client that came back got two more', () => {
  expect(after.value('gateway_fanout_connections_count', { kind: 'chat' })).toBe(5)
  expect(after.value('gateway_fanout_connections_sum', { kind: 'chat' })).toBe(10)
  expect(after.value('gateway_publish_to_deliver_seconds_count', { kind: 'chat' })).toBe(5)
  expect(after.value('gateway_fanout_duration_seconds_count', { kind: 'chat' })).toBe(5)
  expect(after.value('gateway_ws_messages_sent_total', { type: 'ChatMessage', result: 'sent' })).toBe(12)
  expect(after.value('gateway_ws_messages_sent_total', { type: 'Pong', result: 'sent' })).toBe(1)
  expect(after.value('gateway_channel_publishes_total', { kind: 'chat', result: 'ok' })).toBe(5)
  expect(after.value('gateway_ws_received_bytes_total')).toBeGreaterThan(1000)
  expect(after.value('gateway_ws_sent_bytes_total')).toBeGreaterThan(1000)
})

test('continuity: one recovered, one not, nothing lost or doubled', () => {
  expect(after.value('gateway_channel_resumes_total', { recovered: 'true' })).toBe(1)
  expect(after.value('gateway_channel_resumes_total', { recovered: 'false' })).toBe(1)
  expect(after.value('gateway_channel_resets_total')).toBe(0)
  expect(after.value('gateway_channel_repairs_total')).toBe(0)
  expect(after.value('gateway_channel_duplicates_total')).toBe(0)
  expect(after.value('gateway_pubsub_up')).toBe(1)
  expect(after.value('gateway_pubsub_probe_age_seconds')).toBeLessThan(3)
})

test('what backends publish in a form that nobody reads is counted by its fault, and told once', () => {
  const malformed = (reason: string): number | undefined =>
    after.value('gateway_ingest_malformed_total', { reason })
  expect([malformed('json'), malformed('payload'), malformed('channel')]).toEqual([1, 3, 0])
  const told = gateway.process.lines.filter(({ msg }) => msg === 'ingest_malformed')
  expect(told).toMatchObject([
    { level: 'warn', reason: 'json', count: 1 },
    { level: 'warn', reason: 'payload', sourceId: 'game-service', count: 1 },
  ])
})

test('HTTP by route, limits by policy and source, backends by method and code', () => {
  const http = (route: string, status: string): number | undefined =>
    after.value('gateway_http_request_duration_seconds_count', { route, status })
  expect(http('/api/tables', '201')).toBe(1)
  expect(http('/api/tables/:tableId/join', '200')).toBe(2)
  expect(http('/api/tables/:tableId/action', '500')).toBe(1)
  const refused =
    http('/api/push/vapid', '429') ??
    after.value('gateway_http_request_duration_seconds_count', { status: '429' }) ??
    0
  expect(refused).toBeGreaterThan(0)
  const decisions = (decision: string): number =>
    after.value('gateway_ratelimit_decisions_total', { policy: 'http_user', decision, source: 'redis' }) ?? 0
  expect(decisions('allowed')).toBeGreaterThanOrEqual(4)
  expect(after.value('gateway_ratelimit_decisions_total', { decision: 'refused' })).toBe(refused)
  expect(
    after.value('gateway_upstream_requests_total', {
      service: 'game',
      method: 'SubmitAction',
      code: '13',
    }),
  ).toBe(1)
  expect(
    after.value('gateway_upstream_requests_total', { method: 'JoinSeat', code: '0' }),
  ).toBeGreaterThanOrEqual(2)
  expect(after.value('gateway_breaker_state')).toBe(0)
})

test('Redis, the process and its build', () => {
  expect(after.value('gateway_redis_up')).toBe(1)
  expect(after.value('gateway_redis_command_duration_seconds_count')).toBeGreaterThan(20)
  expect(after.value('gateway_build_info')).toBe(1)
  expect(after.value('gateway_ready')).toBe(1)
  expect(after.value('gateway_log_lines_dropped_total')).toBe(0)
  expect(after.value('gateway_spans_dropped_total')).toBe(0)
  expect(after.value('nodejs_eventloop_lag_p99_seconds')).toBeGreaterThan(0)
})

test('counters that may never move stand at 0 from the start', () => {
  for (const name of ['channel_resets', 'channel_repairs', 'channel_resumes', 'ingest_malformed'])
    expect([name, before.value(`gateway_${name}_total`)]).toEqual([name, 0])
  for (const reason of ['overflow', 'refused', 'failed'])
    expect([reason, before.value('gateway_session_events_dropped_total', { reason })]).toEqual([reason, 0])
  expect(before.value('gateway_breaker_state', { service: 'game' })).toBe(0)
})

test('labels are bounded: the day made few series, and none has an id in it', () => {
  const own = [...after.families.values()].filter(({ name }) => name.startsWith('gateway_'))
  const values = own.flatMap(({ samples }) => samples.flatMap(({ labels }) => Object.values(labels)))
  expect(values.filter((value) => /[0-9a-f]{8}-[0-9a-f]{4}|\b(?:ann|ben|cat|dan)\b/.test(value))).toEqual([])
  expect(own.flatMap(({ samples }) => samples).length).toBeLessThan(1500)
})

test('Prometheus’s own checker finds nothing to say', () => {
  const problems = [...after.families.values()].flatMap((family) =>
    lintFamily(family).map((problem) => `${family.name}: ${problem}`),
  )
  expect(problems).toEqual([])
  // Where it is installed, as Debian's package `prometheus` does.
  const checker: string = 'promtool'
  const promtool = spawnSync(checker, ['check', 'metrics'], { input: after.text, encoding: 'utf8' })
  if (promtool.error === undefined)
    expect([promtool.status, promtool.stdout + promtool.stderr]).toEqual([0, ''])
})
