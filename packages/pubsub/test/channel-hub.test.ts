import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ChannelClasses } from '../src/channel-class.ts'
import { ChannelHub } from '../src/channel-hub.ts'
import type { Audience, BrokerEvent, ChannelMessage, Position, Subscription } from '../src/broker.ts'
import { MemoryLog } from '../src/memory-log.ts'
import { expectGapless } from './invariants.ts'
import { Recorder } from './recorder.ts'

const channel = 'room'
const classes = new ChannelClasses([{ prefix: '', kind: 'event', historySize: 5, historyMaxAgeMs: 60_000 }])

type Step =
  | { readonly do: 'publish'; readonly arrives: 'once' | 'twice' | 'never' }
  | {
      readonly do: 'join'
      readonly back: number | undefined
      readonly starts: boolean
      readonly shares: boolean
    }
  | { readonly do: 'start' | 'close'; readonly which: number }
  | { readonly do: 'sync' | 'rotate' }

/** `honest`: nothing is lost for good, so nobody has to ask the log unprompted. */
function steps(honest: boolean): fc.Arbitrary<Step[]> {
  const arrives = honest
    ? fc.constantFrom('once', 'twice')
    : fc.constantFrom('once', 'once', 'twice', 'never')
  const one: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('publish'), arrives }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('join'),
        back: fc.option(fc.nat(8), { nil: undefined }),
        starts: fc.boolean(),
        shares: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('start', 'close'), which: fc.nat(20) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: honest ? fc.constant('sync') : fc.constantFrom('sync', 'rotate') }),
    },
  )
  return fc.array(one, { minLength: 10, maxLength: 60, size: 'max' })
}

interface Joined {
  readonly recorder: Recorder
  readonly since: Position | undefined
  readonly subscription: Subscription
}

/** Gets live messages by an audience of all that share. */
class Sharing extends Recorder {
  readonly audience: Audience
  readonly #members: Set<Recorder>

  constructor(audience: Audience, members: Set<Recorder>) {
    super()
    this.audience = audience
    this.#members = members
  }

  onEnter(): void {
    expect(this.#members.has(this)).toBe(false)
    this.#members.add(this)
  }

  onLeave(): void {
    expect(this.#members.delete(this)).toBe(true)
  }
}

/** A hub on the real log, with an upstream that loses, doubles and reorders, and reads that take their time. */
async function run(steps: readonly Step[], scheduler: fc.Scheduler, honest: boolean): Promise<void> {
  const log = new MemoryLog({ classes, idempotencyTtlMs: 1000, idleTtlMs: 1e9, now: () => 1000 })
  const truth = new Map<string, string>()
  const positions: Position[] = []
  const joined: Joined[] = []
  const sharing = new Set<Recorder>()
  const audience: Audience = {
    onMessage(message) {
      for (const recorder of sharing) recorder.onMessage(message)
    },
  }
  const hub = new ChannelHub({
    classes,
    pageSize: 2,
    maxBuffered: 8,
    lingerMs: 100_000,
    upstream: {
      subscribe: async () => scheduler.schedule(Promise.resolve(), 'subscribe'),
      unsubscribe: () => {},
    },
    log: {
      // The answer is made when Redis would make it, and heard later.
      read: async (name, request) => {
        await scheduler.schedule(Promise.resolve(), 'read')
        const page = await log.read(name, request)
        await scheduler.schedule(Promise.resolve(), 'answer')
        return page
      },
      findMoved: async (heads) => log.findMoved(heads),
      rotate: async (name, epoch) => log.rotate(name, epoch),
    },
  })

  function publish(arrives: 'once' | 'twice' | 'never'): void {
    const added = log.append(channel, Buffer.from(String(truth.size)), {})
    if (!('data' in added)) throw new Error('no key was given')
    truth.set(`${added.epoch} ${added.seq}`, added.data.toString())
    positions.push({ epoch: added.epoch, seq: added.seq })
    const arrive = async (message: ChannelMessage): Promise<void> => {
      await scheduler.schedule(Promise.resolve(), 'live')
      hub.receive(message)
    }
    for (let times = { once: 1, twice: 2, never: 0 }[arrives]; times > 0; times--) void arrive(added)
  }

  async function join({ back, starts, shares }: Step & { readonly do: 'join' }): Promise<void> {
    const recorder = shares ? new Sharing(audience, sharing) : new Recorder()
    const since = back === undefined ? undefined : positions.at(-1 - back)
    const subscription = await hub.subscribe(channel, recorder, since === undefined ? {} : { since })
    joined.push({ recorder, since, subscription })
    if (starts) subscription.start()
  }

  async function take(each: Step): Promise<void> {
    switch (each.do) {
      case 'publish':
        publish(each.arrives)
        break
      case 'join':
        void join(each)
        break
      case 'start':
        joined.at(each.which)?.subscription.start()
        break
      case 'close':
        joined.at(each.which)?.subscription.close()
        break
      case 'sync':
        hub.sync(channel)
        break
      case 'rotate':
        await log.rotate(channel, positions.at(-1)?.epoch ?? '')
    }
  }

  // The steps in their order, but anything else that waits may happen between them.
  scheduler.scheduleSequence(steps.map((each) => async () => take(each)))
  await scheduler.waitIdle()
  for (const { subscription } of joined) subscription.start()
  if (!honest) hub.sync(channel)
  await scheduler.waitIdle()
  const head = await log.read(channel, { limit: 0 })
  const open = hub.subscriptions
  let whole = 0
  for (const { recorder, since, subscription } of joined) {
    const { epoch, seq, recovered } = subscription
    expectGapless(recorder)
    for (const message of recorder.messages)
      expect(message.data.toString()).toBe(truth.get(`${message.epoch} ${message.seq}`))
    if (recovered === true) expect({ epoch, seq }).toEqual({ epoch: since?.epoch, seq: since?.seq })
    if (since === undefined) expect(recovered).toBeUndefined()
    const [first] = recorder.items
    if (first !== undefined && 'data' in first) expect([first.epoch, first.seq]).toEqual([epoch, seq + 1])
    const last = recorder.items.at(-1) ?? subscription
    if (last.epoch === head.epoch && last.seq === head.seq) whole++
  }
  // All but those that were closed on the way have arrived at the head.
  expect(whole).toBeGreaterThanOrEqual(open)
  hub.close()
  expect(sharing.size).toBe(0)
}

test.each([true, false])(
  'whatever is lost, doubled or reordered on the way: once, in order, no hole, or a reset (honest: %s)',
  async (honest) => {
    await fc.assert(
      fc.asyncProperty(steps(honest), fc.scheduler(), async (each, scheduler) =>
        run(each, scheduler, honest),
      ),
      { numRuns: 300 },
    )
  },
)

test('a storm of joins costs a few reads, not one each', async () => {
  const log = new MemoryLog({ classes, idempotencyTtlMs: 1000, idleTtlMs: 1e9, now: () => 1000 })
  let reads = 0
  const hub = new ChannelHub({
    classes,
    upstream: { subscribe: async () => {}, unsubscribe: () => {} },
    log: {
      read: async (name, request) => {
        reads++
        return log.read(name, request)
      },
      findMoved: async (heads) => log.findMoved(heads),
      rotate: async (name, epoch) => log.rotate(name, epoch),
    },
  })
  const [first, ...rest] = Array.from({ length: 5 }, () => log.append(channel, Buffer.from('x'), {}))
  expect(rest).toHaveLength(4)
  if (first === undefined) throw new Error('nothing appended')
  const since = { epoch: first.epoch, seq: first.seq }
  const joins = await Promise.all(
    Array.from({ length: 1000 }, async () => hub.subscribe(channel, new Recorder(), { since })),
  )
  expect(joins.every(({ recovered }) => recovered)).toBe(true)
  expect(reads).toBeLessThanOrEqual(3)
  hub.close()
})

test('who resumes while the rest of the log expires between two pages is not recovered', async () => {
  let nowMs = 1000
  const log = new MemoryLog({ classes, idempotencyTtlMs: 1000, idleTtlMs: 1e9, now: () => nowMs })
  const hub = new ChannelHub({
    classes,
    pageSize: 2,
    upstream: { subscribe: async () => {}, unsubscribe: () => {} },
    log: {
      read: async (name, request) => {
        const page = await log.read(name, request)
        if (page.messages.length > 0) nowMs += 60_001
        return page
      },
      findMoved: async (heads) => log.findMoved(heads),
      rotate: async (name, epoch) => log.rotate(name, epoch),
    },
  })
  const [first] = Array.from({ length: 5 }, () => log.append(channel, Buffer.from('x'), {}))
  if (first === undefined) throw new Error('nothing appended')
  const recorder = new Recorder()
  const subscription = await hub.subscribe(channel, recorder, { since: { epoch: first.epoch, seq: 1 } })
  subscription.start()
  const added = log.append(channel, Buffer.from('live'), {})
  if ('data' in added) hub.receive(added)
  hub.close()
  expect(subscription).toMatchObject({ recovered: false, seq: 5 })
  expect(recorder.items.map(({ seq }) => seq)).toEqual([6])
})

test('what arrives behind a read that had it already costs no further read', async () => {
  const log = new MemoryLog({ classes, idempotencyTtlMs: 1000, idleTtlMs: 1e9, now: () => 1000 })
  let reads = 0
  const hub = new ChannelHub({
    classes,
    upstream: { subscribe: async () => {}, unsubscribe: () => {} },
    log: {
      read: async (name, request) => {
        reads++
        return log.read(name, request)
      },
      findMoved: async (heads) => log.findMoved(heads),
      rotate: async (name, epoch) => log.rotate(name, epoch),
    },
  })
  const recorder = new Recorder()
  const subscription = await hub.subscribe(channel, recorder)
  subscription.start()
  const added = Array.from({ length: 5 }, () => log.append(channel, Buffer.from('x'), {}))
  hub.sync(channel)
  await recorder.count(5)
  await new Promise((resolve) => setImmediate(resolve))
  const before = reads
  for (const message of added) if ('data' in message) hub.receive(message)
  expect(reads).toBe(before)
  expect(recorder.messages).toHaveLength(5)
  hub.close()
})

test('a message that comes twice is dropped, and said to be a duplicate', async () => {
  const log = new MemoryLog({ classes, idempotencyTtlMs: 1000, idleTtlMs: 1e9, now: () => 1000 })
  const events: BrokerEvent[] = []
  const hub = new ChannelHub({
    classes,
    log,
    upstream: { subscribe: async () => {}, unsubscribe: () => {} },
    onEvent: (event) => events.push(event),
  })
  const recorder = new Recorder()
  const subscription = await hub.subscribe(channel, recorder)
  subscription.start()
  const added = log.append(channel, Buffer.from('x'), {})
  if (!('data' in added)) throw new Error('no key was given')
  hub.receive(added)
  hub.receive(added)
  hub.close()
  expect(recorder.messages).toHaveLength(1)
  expect(events).toEqual([
    { type: 'joined', channel },
    { type: 'duplicate', channel },
  ])
})

test('who starts or leaves while a message is delivered gets it once, or not at all', async () => {
  const log = new MemoryLog({ classes, idempotencyTtlMs: 1000, idleTtlMs: 1e9, now: () => 1000 })
  const hub = new ChannelHub({ classes, log, upstream: { subscribe: async () => {}, unsubscribe: () => {} } })
  const sharing = new Set<Recorder>()
  let calls = 0
  const audience: Audience = {
    onMessage(message) {
      calls++
      for (const recorder of sharing) recorder.onMessage(message)
    },
  }
  const recorders = Array.from({ length: 4 }, () => new Sharing(audience, sharing))
  const [first, second, third, fourth] = await Promise.all(
    recorders.map(async (recorder) => hub.subscribe(channel, recorder)),
  )
  first?.start()
  fourth?.start()
  const meddler = new Recorder()
  meddler.onMessage = (message) => {
    if (message.seq !== 2) return
    second?.start()
    third?.start()
    fourth?.close()
  }
  ;(await hub.subscribe(channel, meddler)).start()
  for (let at = 0; at < 3; at++) {
    const added = log.append(channel, Buffer.from(String(at)), {})
    if ('data' in added) hub.receive(added)
  }
  expect(recorders.map(({ texts }) => texts)).toEqual([
    ['0', '1', '2'],
    ['0', '1', '2'],
    ['0', '1', '2'],
    ['0', '1'],
  ])
  expect(calls).toBe(3)
  expect(hub.subscriptions).toBe(4)
  hub.close()
  expect(sharing.size).toBe(0)
})

test('says that a channel was left only when it had been joined', async () => {
  const log = new MemoryLog({ classes, idempotencyTtlMs: 1000, idleTtlMs: 1e9, now: () => 1000 })
  const events: BrokerEvent[] = []
  const left: (() => void)[] = []
  let isAway = true
  const hub = new ChannelHub({
    classes,
    log,
    lingerMs: 1,
    upstream: {
      subscribe: async () => {
        if (isAway) throw new Error('no link')
      },
      unsubscribe: () => left.shift()?.(),
    },
    onEvent: (event) => events.push(event),
  })
  const gone = new Promise<void>((resolve) => void left.push(resolve))
  await expect(hub.subscribe(channel, new Recorder())).rejects.toThrow('no link')
  await gone
  expect(events).toEqual([])
  isAway = false
  const goneAgain = new Promise<void>((resolve) => void left.push(resolve))
  const subscription = await hub.subscribe(channel, new Recorder())
  subscription.close()
  await goneAgain
  expect(events).toEqual([
    { type: 'joined', channel },
    { type: 'left', channel },
  ])
  hub.close()
})
