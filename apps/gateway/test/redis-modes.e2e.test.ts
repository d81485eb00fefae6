/** A gateway on a Redis Cluster, and on a Redis that Sentinels know. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { startRedis, startRedisCluster } from '@gw/testing'
import { expect, test, vi } from 'vitest'
import { loadConfig } from '../src/config.ts'
import { startDemo, backendsOf, startGateway } from './harness/platform.ts'
import { connectPlayer } from './harness/player.ts'

async function listening(server: Server): Promise<{ readonly port: number } & AsyncDisposable> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

test('two gateways on a Cluster are one fleet: chat once and in order, presence, limits, revocation', async () => {
  await using cluster = await startRedisCluster()
  await using demo = await startDemo()
  const env = {
    ...backendsOf(demo),
    REDIS_MODE: 'cluster',
    REDIS_URL: cluster.seeds.map(({ host, port }) => `redis://${host}:${port}`).join(','),
    WS_RATE_LIMIT_MAX: '1000',
    ADMIN_TOKEN: 'modes-only-for-tests-0123456789-abcdefghij',
  }
  await using one = await startGateway({ ...env, INSTANCE_ID: 'one' })
  await using two = await startGateway({ ...env, INSTANCE_ID: 'two' })
  await Promise.all([one.ready(), two.ready()])
  const created = await one.fetch('/api/tables', { userId: 'rc-ann', method: 'POST', body: { name: 'C' } })
  const { table_id: tableId } = (await created.json()) as { readonly table_id: string }
  await using ann = await connectPlayer(one.wsUrl, 'rc-ann')
  await using ben = await connectPlayer(two.wsUrl, 'rc-ben')
  for (const player of [ann, ben]) {
    await player.ask({ type: 'SubscribeTable', tableId })
    await player.ask({ type: 'SubscribeChat', tableId })
  }
  for (let at = 0; at < 10; at++) {
    await ann.ask({ type: 'ChatSend', tableId, message: `a${at}` })
    await ben.ask({ type: 'ChatSend', tableId, message: `b${at}` })
  }
  for (const player of [ann, ben]) for (let at = 0; at < 20; at++) await player.next('ChatMessage')
  const heard = [ann, ben].map(({ socket }) =>
    socket.received.filter(({ type }) => type === 'ChatMessage').map((message) => message['seq']),
  )
  expect(heard[0]).toEqual(Array.from({ length: 20 }, (_, at) => at + 1))
  expect(heard[1]).toEqual(heard[0])
  const revoked = await fetch(`${one.adminUrl}/api/users/rc-ben/revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${env.ADMIN_TOKEN}` },
  })
  expect(revoked.status).toBe(200)
  expect((await ben.socket.closed).code).toBe(4500)
})

// Only something that hangs takes so long.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 180_000 })

/** The part of Sentinel that clients ask: where the master is, and which other Sentinels there are. */
function createSentinel(masterName: string, port: number): Server {
  const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`
  return createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (data: Buffer) => {
      // One array of bulk strings a command, as RESP has it.
      for (const [command = ''] of data.toString().matchAll(/\*\d+\r\n(?:\$\d+\r\n[^\r]*\r\n)+/g)) {
        const words = [...command.matchAll(/\$\d+\r\n([^\r]*)/g)].map(([, word = '']) => word.toLowerCase())
        const [name, question, master] = words
        if (name === 'sentinel' && question === 'get-master-addr-by-name')
          socket.write(master === masterName ? `*2\r\n${bulk('127.0.0.1')}${bulk(String(port))}` : '_\r\n')
        else if (name === 'sentinel') socket.write('*0\r\n')
        else if (name === 'hello') socket.write(`%1\r\n${bulk('proto')}:3\r\n`)
        else socket.write('+OK\r\n')
      }
    })
  })
}

test('a gateway finds its Redis by asking Sentinel', async () => {
  await using redis = await startRedis()
  await using sentinel = await listening(createSentinel('gateway', redis.port))
  await using gateway = await startGateway({
    REDIS_MODE: 'sentinel',
    REDIS_SENTINEL_MASTER: 'gateway',
    REDIS_URL: `redis://127.0.0.1:${sentinel.port}`,
  })
  await gateway.ready()
  await using player = await connectPlayer(gateway.wsUrl, 'rs-ann')
  await player.ask({ type: 'Ping' })
})

test('several addresses need a mode that knows what to do with them', () => {
  const url = 'redis://a:1,redis://b:2'
  expect(() => loadConfig({ REDIS_URL: url })).toThrow(/REDIS_URL: several addresses need REDIS_MODE/)
  expect(loadConfig({ REDIS_URL: url, REDIS_MODE: 'cluster' }).REDIS_URL).toBe(url)
  expect(() => loadConfig({ REDIS_URL: 'redis://a:1,b:2', REDIS_MODE: 'cluster' })).toThrow(/redis:\/\//)
})
