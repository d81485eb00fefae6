/** A firewall that forgets its flows: open connections bring nothing any more and are not closed, new ones work. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { startRedisCluster } from '@gw/testing'
import { Cluster, Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { createRedisBroker } from '@gw/pubsub/redis'
import { Recorder } from './recorder.ts'

async function startFirewall(target: number) {
  const pairs: (readonly [Socket, Socket])[] = []
  const server = createServer((down) => {
    const up = connect(target, '127.0.0.1')
    down.pipe(up).pipe(down)
    for (const socket of [down, up]) socket.on('error', () => {})
    pairs.push([down, up])
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    forget(): void {
      for (const [down, up] of pairs) {
        down.unpipe(up).pause()
        up.unpipe(down).pause()
      }
    },
    [Symbol.dispose](): void {
      for (const socket of pairs.flat()) socket.destroy()
      server.close()
    },
  }
}

test('on a Cluster commands and messages come to a shard again whose connections went silent', async () => {
  await using cluster = await startRedisCluster({ masters: 1 })
  const [master] = cluster.nodes
  const admin = new Redis(master?.url ?? '')
  // A node that never met another one does not know its address.
  await admin.config('SET', 'cluster-announce-ip', '127.0.0.1')
  admin.disconnect()
  using firewall = await startFirewall(master?.port ?? 0)
  const place = { host: '127.0.0.1', port: firewall.port }
  const natMap = { [`127.0.0.1:${master?.port}`]: place }
  const client = new Cluster([place], { slotsRefreshInterval: 1000, natMap })
  client.on('error', () => {})
  const broker = createRedisBroker({
    client,
    prefix: `t-${randomUUID()}`,
    timeoutMs: 400,
    probeIntervalMs: 100,
    probeTimeoutMs: 500,
  })
  try {
    const recorder = new Recorder()
    await expect.poll(() => broker.health().ok, { timeout: 10_000 }).toBe(true)
    ;(await broker.subscribe('room', recorder)).start()
    await broker.publish('room', '1')
    firewall.forget()
    await expect
      .poll(async () => broker.publish('room', '2', { idempotencyKey: '2' }).catch(() => 'refused'), {
        timeout: 10_000,
      })
      .toMatchObject({ seq: 2 })
    await recorder.count(2)
    expect(recorder.texts).toEqual(['1', '2'])
    expect(recorder.resets).toEqual([])
    await expect.poll(() => broker.health().ok, { timeout: 5000 }).toBe(true)
  } finally {
    await broker.close()
    client.disconnect()
  }
})
