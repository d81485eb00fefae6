import { createLink, startRedis, type TestLink, type TestRedis } from '@gw/testing'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Broker, Position } from '@gw/pubsub'
import { expectGapless } from './invariants.ts'
import { Recorder } from './recorder.ts'
import { openRedis } from './redis-place.ts'

type Step =
  | { readonly do: 'publish'; readonly from: number; readonly count: number }
  | { readonly do: 'join'; readonly at: number; readonly after: number }
  | { readonly do: 'cut' | 'drop' | 'restore'; readonly which: number }
  | { readonly do: 'kill' | 'flush' | 'arrive' }

const instance = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('publish'),
      from: instance,
      count: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('join'), at: instance, after: fc.nat(20) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('cut', 'drop', 'restore', 'restore'), which: instance }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('kill', 'flush', 'arrive') }) },
)

let redis: TestRedis
let links: TestLink[] = []

beforeAll(async () => {
  redis = await startRedis()
  links = await Promise.all([1, 2, 3].map(async () => createLink({ target: redis.url })))
})
afterAll(async () => {
  await Promise.all(links.map(async (link) => link.close()))
  redis.stop()
})

/** A client: joins with the last position it has, on whatever instance, and keeps what it got. */
class Client {
  readonly recorder = new Recorder()
  readonly since: Position | undefined
  recovered: boolean | undefined
  start: Position | undefined

  constructor(since: Position | undefined) {
    this.since = since
  }

  async join(broker: Broker): Promise<void> {
    const options = this.since === undefined ? {} : { since: this.since }
    for (;;)
      try {
        const subscription = await broker.subscribe('long:1', this.recorder, options)
        this.recovered = subscription.recovered
        this.start = { epoch: subscription.epoch, seq: subscription.seq }
        subscription.start()
        return
      } catch (error) {
        expect(error).toMatchObject({ code: 'unavailable' })
      }
  }

  get last(): Position | undefined {
    return this.recorder.items.at(-1) ?? this.start
  }
}

async function run(steps: readonly Step[]): Promise<void> {
  await using place = openRedis(redis.url)
  const admin = place.client()
  const fast = {
    timeoutMs: 500,
    probeIntervalMs: 100,
    probeTimeoutMs: 500,
    checkIntervalMs: 200,
    pageSize: 7,
  }
  const brokers = links.map(({ url }) => place.connect({ ...fast, url }))
  const clients: Client[] = []
  const work: Promise<unknown>[] = []
  let sent = 0

  async function publish(broker: Broker | undefined, text: string): Promise<void> {
    for (;;)
      try {
        await broker?.publish('long:1', text, { idempotencyKey: text })
        return
      } catch (error) {
        expect(error).toMatchObject({ code: 'unavailable' })
      }
  }

  for (const each of steps)
    switch (each.do) {
      case 'publish':
        for (let at = 0; at < each.count; at++) work.push(publish(brokers[each.from], String(++sent)))
        break
      case 'join': {
        const client = new Client(clients.at(each.after % Math.max(1, clients.length))?.last)
        clients.push(client)
        const broker = brokers[each.at]
        if (broker !== undefined) work.push(client.join(broker))
        break
      }
      case 'cut':
      case 'drop':
      case 'restore':
        links[each.which]?.[each.do]()
        break
      case 'kill':
        await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
        break
      case 'flush':
        await admin.script('FLUSH')
        break
      case 'arrive':
        await new Promise((resolve) => setImmediate(resolve))
    }
  for (const link of links) link.restore()
  await Promise.all(work)
  const { seq, epoch, messages } = (await brokers[0]?.read('long:1', { limit: 10_000 })) ?? {
    seq: 0,
    epoch: '',
    messages: [],
  }
  // Every accepted message is in the log, once, whatever was sent again.
  expect(new Set(messages.map(({ data }) => data.toString())).size).toBe(sent)
  expect(seq).toBe(sent)
  for (const { recorder, recovered, since, start } of clients) {
    await recorder.until(() => (recorder.items.at(-1) ?? start)?.seq === seq)
    expect(recorder.resets).toEqual([])
    expectGapless(recorder)
    expect(start?.epoch).toBe(epoch)
    expect(recovered).toBe(since === undefined ? undefined : true)
    if (since !== undefined) expect(start).toEqual({ epoch: since.epoch, seq: since.seq })
    expect(recorder.texts).toEqual(messages.slice(start?.seq).map(({ data }) => data.toString()))
  }
}

test(
  'publishers, clients that come back elsewhere, and cuts at random: each gets all it missed, once, in order',
  { timeout: 60_000 },
  async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 40, size: 'max' }), run), {
      numRuns: 15,
      // A run takes real time: the first failure as it is says more than a shrunk one an hour later.
      endOnFailure: true,
    })
  },
)
