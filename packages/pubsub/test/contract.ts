import { expect, test } from 'vitest'
import type { Broker, ChannelClass } from '@gw/pubsub'
import { PubSubError } from '@gw/pubsub'
import { Recorder } from './recorder.ts'

/** A place where brokers meet: each `connect` is another instance, on the same channels. */
export interface Place extends AsyncDisposable {
  connect(): Broker
  /** False where instances share nothing, so that there is only one. */
  readonly shared: boolean
}

export const classes: readonly ChannelClass[] = [
  { prefix: 'short:', kind: 'event', historySize: 5, historyMaxAgeMs: 60_000 },
  { prefix: 'long:', kind: 'event', historySize: 100_000, historyMaxAgeMs: 60_000 },
  { prefix: 'brief:', kind: 'event', historySize: 100, historyMaxAgeMs: 40 },
  { prefix: 'typing:', kind: 'ephemeral', historySize: 0, historyMaxAgeMs: 0 },
]

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => String(from + at))

/** What every broker must do, whatever it is built on. */
export function describeBroker(open: () => Promise<Place>): void {
  test('every subscriber on every instance gets every message once, in one order', async () => {
    await using place = await open()
    const brokers = place.shared ? [place.connect(), place.connect(), place.connect()] : [place.connect()]
    const recorders = await Promise.all(
      [...brokers, ...brokers].map(async (broker) => {
        const recorder = new Recorder()
        const subscription = await broker.subscribe('room:1', recorder)
        subscription.start()
        return recorder
      }),
    )
    await Promise.all(
      brokers.flatMap((broker, who) =>
        numbers(1, 100).map(async (n) => broker.publish('room:1', `${who}:${n}`)),
      ),
    )
    const total = 100 * brokers.length
    await Promise.all(recorders.map(async (recorder) => recorder.count(total)))
    const [first] = recorders
    expect(first?.messages.map(({ seq }) => String(seq))).toEqual(numbers(1, total))
    expect(new Set(first?.texts).size).toBe(total)
    for (const recorder of recorders) expect(recorder.texts).toEqual(first?.texts)
    for (const [who] of brokers.entries()) {
      const own = first?.texts.filter((text) => text.startsWith(`${who}:`))
      expect(own).toEqual(numbers(1, 100).map((n) => `${who}:${n}`))
    }
  })

  test('bytes go in and come out as they are, with the trace context and the request id', async () => {
    await using place = await open()
    const broker = place.connect()
    const recorder = new Recorder()
    const subscription = await broker.subscribe('room:bytes', recorder)
    subscription.start()
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at))
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await broker.publish('room:bytes', bytes, { traceparent, requestId: 'req-1' })
    await broker.publish('room:bytes', '')
    await broker.publish('room:bytes', '', { requestId: 'req-2' })
    await recorder.count(3)
    const [first, second, third] = recorder.messages
    expect(first?.data.equals(bytes)).toBe(true)
    expect(first).toMatchObject({ traceparent, requestId: 'req-1' })
    expect(first?.publishedAtMs).toBeGreaterThan(1_700_000_000_000)
    expect(second?.data).toHaveLength(0)
    expect(second).not.toHaveProperty('traceparent')
    expect(second).not.toHaveProperty('requestId')
    expect(third?.requestId).toBe('req-2')
    expect(third).not.toHaveProperty('traceparent')
  })

  test('all local subscribers share one message object, so that it is encoded once', async () => {
    await using place = await open()
    const broker = place.connect()
    const [a, b] = [new Recorder(), new Recorder()]
    for (const recorder of [a, b]) (await broker.subscribe('room:same', recorder)).start()
    await broker.publish('room:same', 'x')
    await Promise.all([a.count(1), b.count(1)])
    expect(a.messages[0]).toBe(b.messages[0])
  })

  test('a subscription without a position starts at the head', async () => {
    await using place = await open()
    const broker = place.connect()
    const last = (await Promise.all(numbers(1, 3).map(async (n) => broker.publish('room:head', n)))).at(-1)
    const recorder = new Recorder()
    const subscription = await broker.subscribe('room:head', recorder)
    expect(subscription).toMatchObject({ channel: 'room:head', epoch: last?.epoch, seq: 3 })
    expect(subscription.recovered).toBeUndefined()
    subscription.start()
    await broker.publish('room:head', '4')
    await recorder.count(1)
    expect(recorder.texts).toEqual(['4'])
  })

  test('nothing is delivered before start: then what was missed, what came meanwhile, and live', async () => {
    await using place = await open()
    const broker = place.connect()
    const first = await broker.publish('room:start', '1')
    for (const n of ['2', '3']) await broker.publish('room:start', n)
    const witness = new Recorder()
    ;(await broker.subscribe('room:start', witness)).start()
    const recorder = new Recorder()
    const subscription = await broker.subscribe('room:start', recorder, { since: first })
    expect(subscription.recovered).toBe(true)
    expect(subscription.seq).toBe(1)
    for (const n of ['4', '5']) await broker.publish('room:start', n)
    await witness.count(2)
    expect(recorder.items).toEqual([])
    subscription.start()
    expect(recorder.texts).toEqual(['2', '3', '4', '5'])
    await broker.publish('room:start', '6')
    await recorder.count(5)
    expect(recorder.texts).toEqual(['2', '3', '4', '5', '6'])
  })

  test('joins with different positions at once each get exactly what they missed', async () => {
    await using place = await open()
    const broker = place.connect()
    const positions = await Promise.all(numbers(1, 40).map(async (n) => broker.publish('room:storm', n)))
    const joins = await Promise.all(
      positions.map(async (since) => {
        const recorder = new Recorder()
        const subscription = await broker.subscribe('room:storm', recorder, { since })
        subscription.start()
        return { since, subscription, recorder }
      }),
    )
    await broker.publish('room:storm', '41')
    for (const { since, subscription, recorder } of joins) {
      expect(subscription.recovered).toBe(true)
      await recorder.count(41 - since.seq)
      expect(recorder.texts).toEqual(numbers(since.seq + 1, 41))
    }
  })

  test('a position that the log has left behind is not recovered, and says so', async () => {
    await using place = await open()
    const broker = place.connect()
    const first = await broker.publish('short:1', '1')
    for (const n of numbers(2, 10)) await broker.publish('short:1', n)
    const recorder = new Recorder()
    const subscription = await broker.subscribe('short:1', recorder, { since: first })
    expect(subscription).toMatchObject({ recovered: false, seq: 10 })
    subscription.start()
    await broker.publish('short:1', '11')
    await recorder.count(1)
    expect(recorder.texts).toEqual(['11'])
    const kept = await broker.subscribe('short:1', new Recorder(), { since: { ...first, seq: 6 } })
    expect(kept.recovered).toBe(true)
  })

  test('a position of another epoch, or beyond the head, is not recovered', async () => {
    await using place = await open()
    const broker = place.connect()
    const { epoch } = await broker.publish('room:epoch', '1')
    for (const since of [
      { epoch: 'another', seq: 1 },
      { epoch, seq: 99 },
    ]) {
      const subscription = await broker.subscribe('room:epoch', new Recorder(), { since })
      expect(subscription).toMatchObject({ recovered: false, epoch, seq: 1 })
    }
  })

  test('history ends by age, message by message', async () => {
    await using place = await open()
    const broker = place.connect()
    const first = await broker.publish('brief:1', 'old')
    await expect
      .poll(async () => (await broker.read('brief:1', { since: { ...first, seq: 0 } })).complete)
      .toBe(false)
    await broker.publish('brief:1', 'new')
    const { messages, seq } = await broker.read('brief:1')
    expect(messages.map(({ data }) => data.toString())).toEqual(['new'])
    expect(seq).toBe(2)
  })

  test('a busy channel costs a quiet one nothing', async () => {
    await using place = await open()
    const broker = place.connect()
    const quiet = await broker.publish('short:quiet', '1')
    await broker.publish('short:quiet', '2')
    await Promise.all(numbers(1, 500).map(async (n) => broker.publish('short:busy', n)))
    const { complete, messages } = await broker.read('short:quiet', { since: quiet })
    expect(complete).toBe(true)
    expect(messages.map(({ data }) => data.toString())).toEqual(['2'])
  })

  test('read gives the latest, or pages after a position', async () => {
    await using place = await open()
    const broker = place.connect()
    for (const n of numbers(1, 10)) await broker.publish('room:read', n)
    const latest = await broker.read('room:read', { limit: 3 })
    expect(latest).toMatchObject({ seq: 10, complete: true })
    expect(latest.messages.map(({ seq }) => seq)).toEqual([8, 9, 10])
    const page = await broker.read('room:read', { since: { epoch: latest.epoch, seq: 2 }, limit: 3 })
    expect(page.complete).toBe(true)
    expect(page.messages.map(({ seq }) => seq)).toEqual([3, 4, 5])
    const other = await broker.read('room:read', { since: { epoch: 'another', seq: 2 } })
    expect(other).toMatchObject({ complete: false, messages: [] })
  })

  test('an idempotency key is published once and answered with the same position', async () => {
    await using place = await open()
    const broker = place.connect()
    const recorder = new Recorder()
    ;(await broker.subscribe('room:idem', recorder)).start()
    const options = { idempotencyKey: 'k1' }
    const results = await Promise.all([
      broker.publish('room:idem', 'a', options),
      broker.publish('room:idem', 'a', options),
      place.connect().publish('room:idem', 'a', options),
    ])
    await broker.publish('room:idem', 'b', { idempotencyKey: 'k2' })
    await recorder.until(({ texts }) => texts.includes('b'))
    expect(recorder.texts).toEqual(place.shared ? ['a', 'b'] : expect.arrayContaining(['b']))
    expect(results.filter(({ duplicate }) => !duplicate)).toHaveLength(place.shared ? 1 : 2)
    expect(results[1]).toMatchObject({ seq: 1 })
  })

  test('more than is buffered before start ends in a reset, then live', async () => {
    await using place = await open()
    const broker = place.connect()
    const [witness, recorder] = [new Recorder(), new Recorder()]
    ;(await broker.subscribe('room:slow', witness)).start()
    const subscription = await broker.subscribe('room:slow', recorder)
    await Promise.all(numbers(1, 1500).map(async (n) => broker.publish('room:slow', n)))
    await witness.count(1500)
    subscription.start()
    const [first, ...rest] = recorder.items
    expect(first).toMatchObject({ reason: 'overflow' })
    await broker.publish('room:slow', '1501')
    await recorder.until(({ texts }) => texts.includes('1501'))
    const from = first?.seq ?? 0
    expect(rest.length).toBeGreaterThan(0)
    expect(recorder.messages.map(({ seq }) => String(seq))).toEqual(numbers(from + 1, 1501))
  })

  test('a closed subscription gets nothing more, and a subscriber that throws harms no other', async () => {
    await using place = await open()
    const broker = place.connect()
    const [good, gone] = [new Recorder(), new Recorder()]
    const thrower = new Recorder()
    thrower.onMessage = () => {
      throw new Error('a bug')
    }
    ;(await broker.subscribe('room:throw', thrower)).start()
    ;(await broker.subscribe('room:throw', good)).start()
    const subscription = await broker.subscribe('room:throw', gone)
    subscription.start()
    subscription.close()
    subscription.close()
    await broker.publish('room:throw', '1')
    await good.count(1)
    expect(gone.items).toEqual([])
  })

  test('an ephemeral channel is ordered, and recovers only who missed nothing', async () => {
    await using place = await open()
    const broker = place.connect()
    const recorder = new Recorder()
    ;(await broker.subscribe('typing:1', recorder)).start()
    const first = await broker.publish('typing:1', '1')
    const second = await broker.publish('typing:1', '2')
    await recorder.count(2)
    expect(recorder.texts).toEqual(['1', '2'])
    expect((await broker.subscribe('typing:1', new Recorder(), { since: second })).recovered).toBe(true)
    expect((await broker.subscribe('typing:1', new Recorder(), { since: first })).recovered).toBe(false)
  })

  test('a subscriber that publishes from its own call sees its message in its turn', async () => {
    await using place = await open()
    const broker = place.connect()
    const [a, b] = [new Recorder(), new Recorder()]
    const onMessage = a.onMessage.bind(a)
    a.onMessage = (message) => {
      onMessage(message)
      if (message.seq === 1) void broker.publish('room:echo', 'answer')
    }
    for (const recorder of [a, b]) (await broker.subscribe('room:echo', recorder)).start()
    await broker.publish('room:echo', 'ask')
    await Promise.all([a.count(2), b.count(2)])
    expect(a.texts).toEqual(['ask', 'answer'])
    expect(b.texts).toEqual(['ask', 'answer'])
  })

  test('refuses broken calls, and everything after close', async () => {
    await using place = await open()
    const broker = place.connect()
    await expect(broker.publish('', 'x')).rejects.toMatchObject({ code: 'invalid' })
    await expect(broker.publish('a\nb', 'x')).rejects.toBeInstanceOf(PubSubError)
    await expect(broker.publish('a', 'x', { traceparent: 'a b' })).rejects.toMatchObject({ code: 'invalid' })
    await expect(broker.publish('a', 'x', { requestId: 'a b' })).rejects.toMatchObject({ code: 'invalid' })
    await expect(broker.read('a', { limit: -1 })).rejects.toMatchObject({ code: 'invalid' })
    await expect(broker.publish('a', Buffer.alloc(1_048_577))).rejects.toMatchObject({ code: 'invalid' })
    for (const since of [
      { epoch: 'e', seq: Number.NaN },
      { epoch: 'e', seq: -1 },
      { epoch: 'e'.repeat(65), seq: 1 },
    ])
      await expect(broker.subscribe('a', new Recorder(), { since })).rejects.toMatchObject({
        code: 'invalid',
      })
    await broker.close()
    await broker.close()
    await expect(broker.publish('a', 'x')).rejects.toMatchObject({ code: 'closed', retryable: false })
    await expect(broker.subscribe('a', new Recorder())).rejects.toMatchObject({ code: 'closed' })
    expect(broker.health()).toMatchObject({ ok: false })
  })
}
