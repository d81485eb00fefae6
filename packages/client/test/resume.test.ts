import { asyncProperty, assert, array, constantFrom } from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Client, type ClientOptions, createClient } from '@gw/client'
import { TestGateway } from './test-gateway.ts'
import { watchClient } from './watch-client.ts'

interface Scene {
  readonly gateway: TestGateway
  readonly client: Client
}

async function openScene(options: Partial<ClientOptions> = {}): Promise<Scene & AsyncDisposable> {
  const gateway = await TestGateway.start()
  const backoff = { baseMs: 4, maxMs: 4 }
  const client = createClient({ url: gateway.url, token: 'secret', backoff, random: () => 0.5, ...options })
  await client.connect()
  const dispose = async (): Promise<void> => {
    client.close()
    await gateway[Symbol.asyncDispose]()
  }
  return { gateway, client, [Symbol.asyncDispose]: dispose }
}

async function setUp(options: Partial<ClientOptions> = {}): Promise<Scene> {
  const scene = await openScene(options)
  onTestFinished(() => scene[Symbol.asyncDispose]())
  return scene
}

const chat = { type: 'SubscribeChat', tableId: 'T1' } as const

describe('resume', () => {
  test('tells where each channel stood and hands on what was missed, once and in order', async () => {
    const { gateway, client } = await setUp()
    const texts = watchClient(client, 'ChatMessage')
    await client.request(chat)
    gateway.publish('T1', '1')
    await texts.next()
    expect(client.positions()).toEqual({ 'chat:T1': { epoch: 'e1', seq: 1 } })
    gateway.peers[0]?.cut()
    gateway.append('T1', '2')
    gateway.append('T1', '3')
    await texts.next(({ message }) => message.text === '3')
    gateway.publish('T1', '4')
    await texts.next()
    expect(texts.seen.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    const hello = await gateway.peers[1]?.next('Authenticate')
    expect(hello?.resume).toEqual({ 'chat:T1': { epoch: 'e1', seq: 1 } })
    expect(gateway.peers[1]?.received).toHaveLength(1)
  })

  test('says when continuity could not be proven, and goes on from the snapshot', async () => {
    const { gateway, client } = await setUp()
    const gaps = watchClient(client, 'gap')
    const texts = watchClient(client, 'ChatMessage')
    const snapshots = watchClient(client, 'ChatSubscribed')
    await client.request(chat)
    gateway.publish('T1', 'old life')
    await texts.next()
    gateway.peers[0]?.cut()
    gateway.newEpoch('e2')
    gateway.append('T1', 'new life')
    expect(await gaps.next()).toEqual({ channel: 'chat:T1', reason: 'not_recovered' })
    expect(await snapshots.next(({ epoch }) => epoch === 'e2')).toMatchObject({
      history: [{ text: 'new life' }],
    })
    gateway.publish('T1', 'next')
    expect(await texts.next()).toMatchObject({ epoch: 'e2', seq: 2 })
  })

  test('says which channel may no longer be seen, and asks for it no more', async () => {
    const { gateway, client } = await setUp()
    const lost = watchClient(client, 'lost')
    await client.request(chat)
    gateway.override = (peer, message) => {
      if (message.type !== 'Authenticate') return false
      peer.send({ type: 'Welcome', userId: 'alice', connectionId: 'c', features: ['acks'] })
      peer.send({ type: 'Resumed', channels: { 'chat:T1': { recovered: false, error: 'forbidden' } } })
      return true
    }
    gateway.peers[0]?.cut()
    expect(await lost.next()).toEqual({ channel: 'chat:T1', code: 'forbidden' })
    expect(client.positions()).toEqual({})
  })

  test('asks again for what the server could not bring back now, until it can, and loses nothing by it', async () => {
    const { gateway, client } = await setUp()
    const lost = watchClient(client, 'lost')
    const texts = watchClient(client, 'ChatMessage')
    await client.request(chat)
    let refusals = 0
    gateway.override = (peer, message) => {
      if (message.type === 'Authenticate') {
        peer.send({ type: 'Welcome', userId: 'alice', connectionId: 'c', features: ['acks'] })
        peer.send({ type: 'Resumed', channels: { 'chat:T1': { recovered: false, error: 'unavailable' } } })
        return true
      }
      if (message.type !== 'SubscribeChat' || message.id === undefined || refusals === 2) return false
      const { id } = message
      refusals++
      // The first is asked again by the request itself, the second, a matter of rates, by the channel's recovery.
      const code = refusals === 1 ? 'unavailable' : 'rate_limited'
      peer.send({ type: 'Error', id, code, message: 'away', retryable: true, retryAfterMs: 1 })
      return true
    }
    gateway.peers[0]?.cut()
    gateway.append('T1', 'missed')
    expect(await texts.next()).toMatchObject({ seq: 1, message: { text: 'missed' } })
    expect(refusals).toBe(2)
    expect(lost.seen).toEqual([])
    expect(await gateway.peers[1]?.next('SubscribeChat')).toMatchObject({ since: { epoch: 'e1', seq: 0 } })
  })

  test('subscribes again what the server does not name, or when it resumes nothing at all', async () => {
    const { gateway, client } = await setUp()
    await client.request(chat)
    gateway.override = (peer, message) => {
      if (message.type !== 'Authenticate') return false
      peer.send({
        type: 'Welcome',
        userId: 'alice',
        connectionId: 'c',
        ...(gateway.peers.length < 3 && { features: [] }),
      })
      if (gateway.peers.length < 3) peer.send({ type: 'Resumed', channels: {} })
      return true
    }
    for (const at of [1, 2]) {
      const peers = watchClient(client, 'state')
      gateway.peers[at - 1]?.cut()
      await peers.next(({ state }) => state === 'open')
      expect(await gateway.peers[at]?.next('SubscribeChat')).toMatchObject({ since: { epoch: 'e1', seq: 0 } })
    }
  })

  test('subscribes again when the server owes the answer to a resume', async () => {
    const gateway = await TestGateway.start()
    const client = createClient({
      url: gateway.url,
      token: 't',
      connectTimeoutMs: 60,
      backoff: { baseMs: 4, maxMs: 4 },
    })
    onTestFinished(async () => {
      client.close()
      await gateway[Symbol.asyncDispose]()
    })
    await client.connect()
    await client.request(chat)
    gateway.override = (peer, { type }) => {
      if (type === 'Authenticate')
        peer.send({ type: 'Welcome', userId: 'alice', connectionId: 'c', features: ['acks'] })
      return type === 'Authenticate'
    }
    const texts = watchClient(client, 'ChatMessage')
    gateway.peers[0]?.cut()
    gateway.append('T1', 'missed')
    expect(await texts.next()).toMatchObject({ seq: 1 })
  })

  test('asks for a channel once at a time, however often the link is lost before it can be had', async () => {
    const { gateway, client } = await setUp()
    await client.request(chat)
    gateway.override = (peer, { type, id = '' }) => {
      if (type === 'Authenticate') {
        peer.send({ type: 'Welcome', userId: 'alice', connectionId: 'c', features: ['acks'] })
        peer.send({ type: 'Resumed', channels: { 'chat:T1': { recovered: false, error: 'unavailable' } } })
      } else
        peer.send({ type: 'Error', id, code: 'unavailable', message: '', retryable: true, retryAfterMs: 1 })
      return true
    }
    const peers = [0, 1, 2, 3].map(() => gateway.nextPeer())
    for (const next of peers) {
      const peer = await next
      for (const _ of peer === gateway.peers[0] ? [1] : [1, 2, 3]) await peer.next('SubscribeChat')
      peer.cut()
    }
    const ids = gateway.peers.map(({ received }) => {
      const asked = received.filter(({ type }) => type === 'SubscribeChat')
      return [...new Set(asked.map(({ id }) => id))]
    })
    expect(ids.map(({ length }) => length)).toEqual([1, 1, 1, 1])
    expect(new Set(ids.flat()).size).toBe(4)
  })

  test('gives up what it asked for a channel when the late answer to the resume makes it ask anew', async () => {
    const { gateway, client } = await setUp({ connectTimeoutMs: 60 })
    await client.request(chat)
    gateway.override = (peer, { type }) => {
      if (type === 'Authenticate')
        peer.send({ type: 'Welcome', userId: 'alice', connectionId: 'c', features: ['acks'] })
      return true
    }
    gateway.peers[0]?.cut()
    await gateway.nextPeer()
    const peer = await gateway.nextPeer()
    const { id: before = '' } = await peer.next('SubscribeChat')
    peer.send({ type: 'Resumed', channels: { 'chat:T1': { recovered: false, error: 'unavailable' } } })
    const { id: after = '' } = await peer.next('SubscribeChat')
    const refusal = { type: 'Error', code: 'unavailable', message: '', retryable: true } as const
    peer.send({ ...refusal, id: before, retryAfterMs: 1 })
    peer.send({ ...refusal, id: after, retryAfterMs: 20 })
    expect([before === after, (await peer.next('SubscribeChat')).id]).toEqual([false, after])
  })

  test('does not ask again for a hole that the resume fills', async () => {
    const { gateway, client } = await setUp()
    const texts = watchClient(client, 'ChatMessage')
    await client.request(chat)
    const first = await gateway.nextPeer()
    await first.next('SubscribeChat')
    gateway.override = (peer, { type }) => type === 'SubscribeChat' && peer === first
    gateway.publish('T1', '1')
    gateway.append('T1', '2')
    gateway.publish('T1', '3')
    await first.next('SubscribeChat')
    first.cut()
    await texts.next(({ seq }) => seq === 3)
    await client.request({ type: 'Ping' })
    expect(texts.seen.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(gateway.peers[1]?.received.map(({ type }) => type)).toEqual(['Authenticate', 'Ping'])
  })

  test.each<[string, (scene: Scene) => void | Promise<unknown>]>([
    ['the client is closed', ({ client }) => client.close()],
    ['the link is given up', ({ client }) => client.reconnect()],
    [
      'the channel is unsubscribed',
      ({ client }) => client.request({ type: 'UnsubscribeChat', tableId: 'T1' }),
    ],
  ])('waits no longer to ask for a channel when %s', async (_when, end) => {
    const scene = await setUp()
    const { gateway, client } = scene
    await client.request(chat)
    const retryAfterMs = 54_321
    gateway.override = (peer, { type, id = '' }) => {
      if (type !== 'SubscribeChat') return false
      peer.send({ type: 'Error', id, code: 'rate_limited', message: '', retryable: true, retryAfterMs })
      return true
    }
    const begun = vi.spyOn(globalThis, 'setTimeout')
    const cleared = vi.spyOn(globalThis, 'clearTimeout')
    onTestFinished(() => void vi.restoreAllMocks())
    gateway.append('T1', 'missed')
    gateway.publish('T1', 'next')
    await watchClient(client, 'Error').next()
    await client.request({ type: 'Ping' })
    const waits = begun.mock.results.filter((_result, at) => begun.mock.calls[at]?.[1] === retryAfterMs)
    expect(waits).toHaveLength(1)
    await end(scene)
    expect(cleared.mock.calls.some(([timer]) => timer === waits[0]?.value)).toBe(true)
  })

  test('asks for no channel that was unsubscribed', async () => {
    const { gateway, client } = await setUp()
    await client.request(chat)
    await client.request({ type: 'UnsubscribeChat', tableId: 'T1' })
    const states = watchClient(client, 'state')
    gateway.peers[0]?.cut()
    await states.next(({ state }) => state === 'open')
    expect(await gateway.peers[1]?.next('Authenticate')).not.toHaveProperty('resume')
  })
})

describe('a live channel', () => {
  test('fetches what is missing and hands everything on in order', async () => {
    const { gateway, client } = await setUp()
    const texts = watchClient(client, 'ChatMessage')
    const gaps = watchClient(client, 'gap')
    await client.request(chat)
    gateway.publish('T1', '1')
    gateway.append('T1', '2')
    gateway.publish('T1', '3')
    gateway.publish('T1', '4')
    await texts.next(({ seq }) => seq === 4)
    expect(texts.seen.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    expect(gaps.seen).toEqual([{ channel: 'chat:T1', reason: 'hole' }])
  })

  test('counts a message of a type that it does not know, and hands it on as such', async () => {
    const { gateway, client } = await setUp()
    const texts = watchClient(client, 'ChatMessage')
    const others = watchClient(client, 'other')
    const gaps = watchClient(client, 'gap')
    await client.request(chat)
    gateway.publish('T1', '1')
    const { channel, epoch } = gateway.append('T1', 'in place of')
    gateway.peers[0]?.sendRaw({ type: 'ChatReaction', channel, epoch, seq: 2, emoji: '+1' })
    gateway.publish('T1', '3')
    await texts.next(({ seq }) => seq === 3)
    expect(others.seen).toEqual([{ type: 'ChatReaction', channel, epoch, seq: 2, emoji: '+1' }])
    expect(gaps.seen).toEqual([])
  })

  test('takes the place where a channel that comes by itself begins, so that the first thing missed is noticed', async () => {
    const { gateway, client } = await setUp()
    const gaps = watchClient(client, 'gap')
    const others = watchClient(client, 'other')
    const own = { channel: 'user:alice', epoch: 'e1' }
    const all = { channel: 'all', epoch: 'e1' }
    gateway.peers[0]?.send({ type: 'Subscribed', ...own, seq: 4 })
    gateway.peers[0]?.send({ type: 'Subscribed', ...all, seq: 0 })
    gateway.peers[0]?.sendRaw({ type: 'Gift', ...own, seq: 5 })
    gateway.peers[0]?.sendRaw({ type: 'News', ...all, seq: 2 })
    await others.next(({ type }) => type === 'News')
    expect(gaps.seen).toEqual([{ channel: 'all', reason: 'hole' }])
    expect(client.positions()).toEqual({
      'user:alice': { epoch: 'e1', seq: 5 },
      all: { epoch: 'e1', seq: 2 },
    })
  })

  test('gives up a channel whose missing messages may not be fetched', async () => {
    const { gateway, client } = await setUp()
    const lost = watchClient(client, 'lost')
    await client.request(chat)
    gateway.override = (peer, { type, id = '' }) => {
      if (type === 'SubscribeChat') peer.send({ type: 'ChatError', id, tableId: 'T1', reason: 'not_seated' })
      return type === 'SubscribeChat'
    }
    gateway.append('T1', '1')
    gateway.publish('T1', '2')
    expect(await lost.next()).toEqual({ channel: 'chat:T1', code: 'not_seated' })
  })

  test('is not told as lost when the client is closed upon a gap', async () => {
    const { gateway, client } = await setUp()
    const lost = watchClient(client, 'lost')
    await client.request(chat)
    client.on('gap', () => client.close())
    gateway.append('T1', '1')
    gateway.publish('T1', '2')
    await gateway.peers[0]?.closed
    expect([client.state, lost.seen]).toEqual(['closed', []])
  })

  test('begins anew after a Reset, and says so', async () => {
    const { gateway, client } = await setUp()
    const gaps = watchClient(client, 'gap')
    const texts = watchClient(client, 'ChatMessage')
    await client.request(chat)
    gateway.newEpoch('e2')
    gateway.peers[0]?.send({ type: 'Reset', channel: 'chat:T1', epoch: 'e2', reason: 'epoch' })
    for (const text of ['1', '2']) gateway.publish('T1', text)
    await texts.next(({ epoch, seq }) => epoch === 'e2' && seq === 2)
    expect(gaps.seen).toEqual([{ channel: 'chat:T1', reason: 'reset' }])
  })

  test('shows a message once that history held before it was published', async () => {
    const { gateway, client } = await setUp()
    const texts = watchClient(client, 'ChatMessage')
    gateway.append('T1', 'early')
    await client.request(chat)
    const twin = gateway.append('T1', 'twin')
    gateway.peers[0]?.send({ ...twin, message: { ...twin.message, id: 'e1-1' } })
    gateway.publish('T1', 'next')
    expect(await texts.next()).toMatchObject({ seq: 3 })
    expect(texts.seen).toHaveLength(1)
  })
})

test('over any order of publishing, losing, cutting and trimming, every message arrives once, in order, or a gap is told', async () => {
  const steps = array(constantFrom('publish', 'lose', 'cut', 'trim', 'again'), { maxLength: 25 })
  await assert(
    asyncProperty(steps, async (script) => {
      await using scene = await openScene()
      const { gateway, client } = scene
      const texts = watchClient(client, 'ChatMessage')
      const gaps = watchClient(client, 'gap')
      const states = watchClient(client, 'state')
      const all = watchClient(client, 'message')
      await client.request(chat)
      let last = gateway.publish('T1', 'first')
      for (const step of script) {
        if (step === 'publish') last = gateway.publish('T1', step)
        else if (step === 'lose') last = gateway.append('T1', step)
        else if (step === 'again') gateway.sendAll(last)
        else if (step === 'trim') gateway.oldest = last.seq ?? 1
        else {
          gateway.peers.at(-1)?.cut()
          await states.next(({ state }) => state === 'open')
          await client.request({ type: 'Ping' })
        }
      }
      await client.request({ type: 'Ping' })
      last = gateway.publish('T1', 'last')
      // Live, or in the history that follows a gap which could not be filled.
      await all.next(
        (message) =>
          (message.type === 'ChatMessage' && message.seq === last.seq) ||
          (message.type === 'ChatSubscribed' && message.history.some(({ id }) => id === last.message.id)),
      )
      const seqs = texts.seen.map(({ seq = 0 }) => seq)
      expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
      if (!gaps.seen.some(({ reason }) => reason === 'not_recovered'))
        expect(seqs).toEqual(Array.from({ length: last.seq ?? 0 }, (_, n) => n + 1))
    }),
    { numRuns: 40 },
  )
})
