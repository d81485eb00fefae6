import { createLink } from '@gw/testing'
import { expect, onTestFinished, test } from 'vitest'
import { type Client, createClient } from '@gw/client'
import { TestGateway } from './test-gateway.ts'
import { watchClient } from './watch-client.ts'

async function setUp(): Promise<{
  gateway: TestGateway
  link: Awaited<ReturnType<typeof createLink>>
  client: Client
}> {
  const gateway = await TestGateway.start()
  gateway.heartbeatMs = 40
  const link = await createLink({ target: gateway.url })
  const client = createClient({
    url: link.url,
    token: 'secret',
    connectTimeoutMs: 200,
    backoff: { baseMs: 10, maxMs: 10 },
  })
  // A real server's heartbeat, so that only a broken link is silent.
  const beat = setInterval(() => {
    for (const peer of gateway.peers) peer.send({ type: 'Heartbeat', at: new Date().toISOString() })
  }, 20)
  onTestFinished(async () => {
    clearInterval(beat)
    client.close()
    await link.close()
    await gateway[Symbol.asyncDispose]()
  })
  await client.connect()
  return { gateway, link, client }
}

test('a link that swallows everything without closing is noticed, and nothing is lost by it', async () => {
  const { gateway, link, client } = await setUp()
  const states = watchClient(client, 'state')
  const texts = watchClient(client, 'ChatMessage')
  await client.request({ type: 'SubscribeChat', tableId: 'T1' })
  link.blackhole()
  gateway.publish('T1', 'into the dark')
  const asked = client.request({ type: 'Action', tableId: 'T1', action: 'Fold' })
  expect(await states.next(({ state }) => state === 'waiting')).toMatchObject({ reason: 'no_heartbeat' })
  link.restore()
  gateway.publish('T1', 'after')
  await texts.next(({ seq }) => seq === 2)
  expect(texts.seen.map(({ seq }) => seq)).toEqual([1, 2])
  expect(await asked).toMatchObject({ ok: true, reply: { type: 'ActionResult' } })
})

test('a reset connection comes back and resumes', async () => {
  const { gateway, link, client } = await setUp()
  const texts = watchClient(client, 'ChatMessage')
  await client.request({ type: 'SubscribeChat', tableId: 'T1' })
  link.drop()
  gateway.publish('T1', '1')
  await texts.next()
  gateway.publish('T1', '2')
  await texts.next()
  expect(texts.seen.map(({ seq }) => seq)).toEqual([1, 2])
})
