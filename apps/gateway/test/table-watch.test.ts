import { decodeServerMessage, type ServerMessage } from '@gw/protocol'
import type { ChannelMessage } from '@gw/pubsub'
import { expect, test } from 'vitest'
import type { TableFacts } from '../src/services/table-facts.ts'
import { createTableWatch } from '../src/services/table-watch.ts'

interface Change {
  readonly seq: number
  readonly epoch?: string
  readonly spectators?: readonly string[]
  readonly hand?: object | null
  readonly updatedAt?: string
}

function update({ seq, epoch = 'e', spectators = [], hand = null, updatedAt }: Change): ChannelMessage {
  const tableState = {
    version: seq,
    updatedAt: updatedAt ?? '2026-01-01T00:00:00.000Z',
    config: { turnTimerSeconds: 20 },
    seats: [{ userId: 'ann' }, { userId: null }],
    spectators: spectators.map((userId) => ({ userId })),
    hand,
  }
  const data = Buffer.from(JSON.stringify({ type: 'TableSnapshot', tableState }))
  return { channel: 'table:T', epoch, seq, data, publishedAtMs: 0 }
}

const hand = (turn: number, actions: number, more: object = {}) => ({
  handId: 'H',
  street: 'FLOP',
  turn,
  actions: Array.from({ length: actions }, () => ({ userId: 'ann' })),
  ...more,
})

/** The text of an unmasked server frame of less than 64 KiB. */
function textOf(frame: Buffer): string {
  const short = (frame[1] ?? 0) & 0x7f
  return frame.subarray(short < 126 ? 2 : 4).toString()
}

function watching() {
  const seen: TableFacts[] = []
  const watch = createTableWatch({ onFacts: (_tableId, facts) => seen.push(facts) })
  return {
    watch,
    seen,
    after: (change: Change): (ServerMessage | undefined)[] => {
      const message = update(change)
      watch.see(message)
      return watch.derivedFrom(message).map(({ frame }) => decodeServerMessage(textOf(frame)))
    },
  }
}

test('a new turn has a timer that ends turnTimerSeconds after the update; the same turn has no second one', () => {
  const { after } = watching()
  expect(after({ seq: 1, hand: hand(3, 2) })).toEqual([
    {
      type: 'TimerUpdate',
      tableId: 'T',
      handId: 'H',
      currentTurnSeat: 3,
      deadlineTs: '2026-01-01T00:00:20.000Z',
    },
  ])
  expect(after({ seq: 2, hand: hand(3, 2), updatedAt: '2026-01-01T00:00:07.000Z' })).toEqual([])
  expect(after({ seq: 3, hand: hand(4, 3), updatedAt: '2026-01-01T00:00:08.000Z' })).toMatchObject([
    { currentTurnSeat: 4, deadlineTs: '2026-01-01T00:00:28.000Z' },
  ])
})

test.each([
  ['a hand that ended', hand(1, 1, { endedAt: '2026-01-01T00:00:00.000Z' })],
  ['a showdown', hand(1, 1, { street: 'SHOWDOWN' })],
  ['no hand', null],
])('%s has no timer', (_what, state) => {
  expect(watching().after({ seq: 1, hand: state })).toEqual([])
})

test('who begins and stops to watch is told with the count after it', () => {
  const { after } = watching()
  after({ seq: 1, spectators: ['ben'] })
  expect(after({ seq: 2, spectators: ['cat', 'dan'] })).toEqual([
    { type: 'SpectatorJoined', tableId: 'T', userId: 'cat', spectatorCount: 2 },
    { type: 'SpectatorJoined', tableId: 'T', userId: 'dan', spectatorCount: 2 },
    { type: 'SpectatorLeft', tableId: 'T', userId: 'ben', spectatorCount: 2 },
  ])
})

test('behind a gap, or in another epoch, nobody is said to have come', () => {
  const { after } = watching()
  after({ seq: 1, spectators: ['ben'] })
  expect(after({ seq: 3, spectators: ['cat'] })).toEqual([])
  expect(after({ seq: 4, epoch: 'f', spectators: ['dan'] })).toEqual([])
})

test('the first update is compared with the state that a subscriber was given, also when that was newer', () => {
  const { after, watch } = watching()
  const { tableState } = JSON.parse(update({ seq: 6, spectators: ['ben', 'cat'] }).data.toString())
  watch.begin({ ...tableState, tableId: 'T' }, { epoch: 'e', seq: 4 })
  expect(after({ seq: 5, spectators: ['ben'] })).toEqual([])
  expect(after({ seq: 6, spectators: ['ben', 'cat'] })).toEqual([])
  expect(after({ seq: 7, spectators: ['ben'] })).toMatchObject([{ type: 'SpectatorLeft', userId: 'cat' }])
})

test('a replay to one socket changes nothing', () => {
  const { after, seen, watch } = watching()
  after({ seq: 5, spectators: ['ben'], hand: hand(2, 2) })
  expect(after({ seq: 4, spectators: [], hand: hand(1, 1) })).toEqual([])
  expect(seen).toHaveLength(1)
  expect(watch.latest('T')).toMatchObject({ version: 5, handId: 'H', seated: new Set(['ann']) })
})

test('who waits for a table’s news hears each newer state, with how often each user has acted, until it stops', () => {
  const { watch, after } = watching()
  const heard: (number | undefined)[] = []
  const stop = watch.onFacts('T', ({ acted }) => heard.push(acted.get('ann')))
  after({ seq: 1, hand: hand(3, 1) })
  after({ seq: 2, hand: hand(4, 2) })
  after({ seq: 2, hand: hand(4, 2) })
  stop()
  after({ seq: 3, hand: hand(3, 3) })
  expect(heard).toEqual([1, 2])
})
