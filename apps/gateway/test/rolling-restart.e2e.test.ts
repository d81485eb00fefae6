/** A deploy: three instances restarted in turn under 300 clients of the SDK, with chat and play. Nobody notices more than a reconnect. */
import { type Client, createClient } from '@gw/client'
import { lobbyChannel } from '@gw/protocol'
import { afterAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startFleet } from './harness/fleet.ts'
import { type GatewayProcess, startGateway, tokenOf } from './harness/platform.ts'

const clientCount = 300
const tableCount = 30
const pauseMs = 1000
/** Bounds prove that nothing is waited for for ever: the machine may be busy with other tests. */
const patienceMs = 60_000

const fleet = await startFleet({
  gateways: [{}, {}, {}],
  env: {
    HTTP_RATE_LIMIT_MAX: '1000000',
    WS_RATE_LIMIT_MAX: '1000000',
    MAX_CONNECTIONS_PER_ADDRESS: '1000',
    WS_ACCEPTS_PER_SECOND_PER_ADDRESS: '1000',
    // A busy machine is not what is tried here.
    GRPC_CLIENT_TIMEOUT_MS: '10000',
    REDIS_TIMEOUT_MS: '5000',
  },
  demo: { NEXT_HAND_DELAY_MS: '300' },
  timeoutMs: patienceMs,
})
const { env } = fleet
/** Those that take connections. */
const instances: GatewayProcess[] = [...fleet.gateways]
afterAll(async () => {
  for (const part of [...instances, fleet]) await part[Symbol.asyncDispose]()
})

/** The load balancer: each connection goes to the next instance that takes any. */
let turn = 0
function nextUrl(): string {
  const instance = instances[turn++ % instances.length]
  if (!instance) throw new Error('no instance')
  return instance.wsUrl
}

/** One user, and all that this user noticed. */
interface Seen {
  readonly userId: string
  readonly client: Client
  readonly tableId: string
  readonly lines: string[]
  readonly versions: number[]
  /** Which of them were answers to a subscribe: these may repeat the newest. */
  readonly answers: Set<number>
  readonly troubles: unknown[]
  connections: number
}

function join(userId: string, tableId: string): Seen {
  const client = createClient({
    url: nextUrl,
    token: tokenOf(userId),
    WebSocket,
    requestTimeoutMs: patienceMs,
    backoff: { baseMs: 100, maxMs: 1000 },
  })
  const seen: Seen = {
    userId,
    client,
    tableId,
    lines: [],
    versions: [],
    answers: new Set(),
    troubles: [],
    connections: 0,
  }
  client.on('ChatMessage', ({ message }) => seen.lines.push(message.text))
  client.on('TableSnapshot', ({ tableState, id }) => {
    if (id !== undefined) seen.answers.add(seen.versions.length)
    seen.versions.push(tableState.version)
  })
  client.on('state', ({ state }) => {
    if (state === 'open') seen.connections++
    if (state === 'closed') seen.troubles.push('closed')
  })
  client.on('gap', (gap) => {
    // The lobby's log is short on purpose: after some seconds away its newest list comes in place of all that was missed.
    if (gap.channel !== lobbyChannel) seen.troubles.push(gap)
  })
  client.on('lost', (lost) => seen.troubles.push(lost))
  client.on('error', (error) => seen.troubles.push(error))
  client.on('Error', (error) => seen.troubles.push(error))
  client.on('ChatError', (error) => seen.troubles.push(error))
  return seen
}

async function enter({ client, tableId, troubles }: Seen): Promise<void> {
  await client.connect()
  for (const type of ['SubscribeTable', 'SubscribeChat'] as const) {
    const result = await client.request({ type, tableId })
    if (!result.ok) troubles.push(result)
  }
}

/** Folds whenever it is this user's turn; each fold must be taken. */
function play({ client, userId, tableId, troubles }: Seen): { readonly folds: () => number } {
  let last = ''
  let folds = 0
  client.on('TableSnapshot', ({ tableState: { hand, seats } }) => {
    if (!hand || hand.endedAt || seats.find(({ seatId }) => seatId === hand.turn)?.userId !== userId) return
    if (last === hand.handId) return
    last = hand.handId
    void client.request({ type: 'Action', tableId, action: 'Fold', handId: hand.handId }).then((result) => {
      if (result.ok && result.reply.accepted) folds++
      else if (client.state !== 'closed') troubles.push(result)
    })
  })
  return { folds: () => folds }
}

/** Says something new at each table again and again until stopped; gives what was accepted at each, in order. */
function chatter(tables: readonly (readonly Seen[])[]) {
  const stop = new AbortController()
  const said = tables.map((): string[] => [])
  const speakers = tables.map(async (people, at) => {
    for (let line = 0; !stop.signal.aborted; line++) {
      const speaker = people[line % people.length]
      if (!speaker) return
      const text = `${at}-${line}`
      const { client, tableId, troubles } = speaker
      const result = await client.request({ type: 'ChatSend', tableId, message: text })
      if (result.ok) said[at]?.push(text)
      else troubles.push(result)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  })
  return async (): Promise<readonly (readonly string[])[]> => {
    stop.abort()
    await Promise.all(speakers)
    return said
  }
}

test('each instance restarted with SIGTERM: 0 lost, 0 doubled, 0 errors, for 300 clients', async () => {
  const config = { smallBlind: 1, bigBlind: 2, startingStack: 10_000, turnTimerSeconds: 300 }
  const [first] = fleet.gateways
  const tableIds = await Promise.all(
    Array.from({ length: tableCount }, (_, at) => first.createTable(`roll-owner-${at}`, config)),
  )
  const tables = tableIds.map((tableId, at) =>
    Array.from({ length: clientCount / tableCount }, (_, n) => join(`roll-${at}-${n}`, tableId)),
  )
  const people = tables.flat()
  for (let at = 0; at < people.length; at += 30) await Promise.all(people.slice(at, at + 30).map(enter))

  const [players = []] = tables
  const bots = players.slice(0, 2).map(play)
  for (const [seatId, { client, tableId, userId }] of players.slice(0, 2).entries()) {
    const funded = await first.fetch(`/api/accounts/${userId}/deposit`, {
      userId,
      method: 'POST',
      body: { amount: 50_000, source: 'BONUS' },
      headers: { 'idempotency-key': userId },
    })
    expect(funded.status).toBe(200)
    expect(await client.request({ type: 'JoinSeat', tableId, seatId })).toMatchObject({ ok: true })
  }
  const stopTalking = chatter(tables)

  const before = instances.slice()
  for (const old of before) {
    // Out of the load balancer as it goes; what takes its place comes when it is ready.
    instances.splice(instances.indexOf(old), 1)
    const [exit, fresh] = await Promise.all([
      old.process.kill('SIGTERM'),
      startGateway(env, { timeoutMs: patienceMs }),
    ])
    expect(exit).toEqual({ code: 0, signal: null })
    await fresh.ready(patienceMs)
    instances.push(fresh)
    await expect
      .poll(() => people.filter(({ client }) => client.state !== 'open').length, { timeout: patienceMs })
      .toBe(0)
  }

  const said = await stopTalking()
  expect(people.flatMap(({ troubles }) => troubles)).toEqual([])
  for (const [at, lines] of said.entries())
    for (const { lines: heard } of tables[at] ?? [])
      await expect.poll(() => heard.at(-1), { timeout: patienceMs }).toBe(lines.at(-1))
  for (const [at, lines] of said.entries())
    for (const seen of tables[at] ?? []) {
      expect(seen.lines, seen.userId).toEqual(lines)
      expect(stepsBack(seen), seen.userId).toEqual([])
    }
  // Everybody has been moved, most of them once: from each of the three instances.
  expect(people.filter(({ connections }) => connections < 2)).toEqual([])
  for (const { folds } of bots) expect(folds()).toBeGreaterThan(0)
  await sameState(tables)
  for (const { client } of people) client.close()
}, 240_000)

/** States that came after a newer one, or twice. */
function stepsBack({ versions, answers }: Seen): number[] {
  return versions.filter((version, at) => {
    const before = versions[at - 1] ?? -1
    return version < before || (version === before && !answers.has(at))
  })
}

/** In the end everybody at a table sees the same state. */
async function sameState(tables: readonly (readonly Seen[])[]): Promise<void> {
  for (const people of tables.slice(1)) {
    const newest = (): number => Math.max(...people.map(({ versions }) => versions.at(-1) ?? -1))
    await expect
      .poll(() => people.filter(({ versions }) => versions.at(-1) !== newest()), { timeout: patienceMs })
      .toEqual([])
  }
}
