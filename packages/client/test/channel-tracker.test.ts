import type { ServerMessage, TableState } from '@gw/protocol'
import { describe, expect, test } from 'vitest'
import { ChannelTracker, type Verdict } from '../src/channel-tracker.ts'

const at = '2026-11-22T09:48:46.470Z'

const tableState: TableState = {
  tableId: 'T1',
  name: 'Peer',
  ownerId: 'alice',
  config: { smallBlind: 5, bigBlind: 10, ante: 0, maxPlayers: 6, startingStack: 300, turnTimerSeconds: 30 },
  status: 'WAITING',
  hand: null,
  version: 1,
  seats: [],
  spectators: [],
  updatedAt: at,
  button: 0,
}

interface SnapshotMore {
  readonly id?: string
  readonly epoch?: string
  readonly recovered?: boolean
}

function snapshot(seq: number, more: SnapshotMore = {}, version = 1): ServerMessage {
  const state = { ...tableState, version }
  return { type: 'TableSnapshot', channel: 'table:T1', epoch: 'e1', seq, tableState: state, ...more }
}

function timer(seq: number, epoch = 'e1'): ServerMessage {
  const turn = { tableId: 'T1', handId: 'H1', currentTurnSeat: 1, deadlineTs: at }
  return { type: 'TimerUpdate', channel: 'table:T1', epoch, seq, ...turn }
}

function judgeAll(tracker: ChannelTracker, messages: readonly ServerMessage[]): Verdict[] {
  return messages.map((message) => tracker.judge(message))
}

describe('ChannelTracker', () => {
  test('takes a table on with the answer to a subscribe, and drops what is not newer', () => {
    const tracker = new ChannelTracker()
    expect(tracker.judge(snapshot(5))).toBe('deliver')
    expect(tracker.names()).toEqual([])
    const verdicts = judgeAll(tracker, [
      snapshot(5, { id: 'a' }),
      snapshot(5),
      snapshot(4),
      timer(5),
      timer(6),
    ])
    expect(verdicts).toEqual(['deliver', 'drop', 'drop', 'drop', 'deliver'])
    expect(tracker.positions()).toEqual({ 'table:T1': { epoch: 'e1', seq: 6 } })
  })

  test('lets a whole state jump, but not a message that builds on the one before', () => {
    const tracker = new ChannelTracker()
    tracker.judge(snapshot(5, { id: 'a' }))
    expect(judgeAll(tracker, [snapshot(9, {}, 2), timer(10), timer(12)])).toEqual([
      'deliver',
      'deliver',
      { gap: 'hole', channel: 'table:T1' },
    ])
    expect(tracker.judge(timer(11, 'e2'))).toEqual({ gap: 'epoch', channel: 'table:T1' })
  })

  test('counts older states that follow a newer one, without handing them on', () => {
    const tracker = new ChannelTracker()
    tracker.judge(snapshot(5, { id: 'a' }, 20))
    const replayed = [snapshot(6, {}, 18), snapshot(7, {}, 19), snapshot(8, {}, 20), snapshot(9, {}, 21)]
    expect(judgeAll(tracker, replayed)).toEqual(['drop', 'drop', 'drop', 'deliver'])
    expect(tracker.positionOf('table:T1')?.seq).toBe(9)
    expect(tracker.judge(snapshot(9, { id: 'b' }, 3))).toBe('deliver')
    tracker.reset('table:T1')
    expect(tracker.judge(snapshot(1, { epoch: 'e2' }, 1))).toBe('deliver')
  })

  test('hands on nothing but the very next message while it waits for what is missing', () => {
    const tracker = new ChannelTracker()
    tracker.judge(snapshot(5, { id: 'a' }))
    tracker.setRecovering('table:T1', true)
    expect(judgeAll(tracker, [timer(8), timer(6), timer(9)])).toEqual(['drop', 'deliver', 'drop'])
    tracker.disconnected()
    expect(tracker.judge(timer(9))).toEqual({ gap: 'hole', channel: 'table:T1' })
    expect(judgeAll(tracker, [snapshot(9, {}, 2), timer(10)])).toEqual(['deliver', 'deliver'])
  })

  test('does not take the position of an Ack for one that was received', () => {
    const tracker = new ChannelTracker()
    tracker.judge({
      type: 'ChatSubscribed',
      tableId: 'T1',
      channel: 'chat:T1',
      epoch: 'e1',
      seq: 3,
      history: [],
    })
    tracker.judge({ type: 'Ack', id: '1', channel: 'chat:T1', epoch: 'e1', seq: 4 })
    expect(tracker.positionOf('chat:T1')).toEqual({ epoch: 'e1', seq: 3 })
  })

  test('keeps its own position when a subscription joined on, because what was missed follows', () => {
    const tracker = new ChannelTracker()
    const subscribed = {
      type: 'ChatSubscribed',
      tableId: 'T1',
      channel: 'chat:T1',
      epoch: 'e1',
      history: [],
    } as const
    tracker.judge({ ...subscribed, seq: 3 })
    tracker.judge({ ...subscribed, seq: 9, recovered: true })
    expect(tracker.positionOf('chat:T1')?.seq).toBe(3)
    tracker.judge({ ...subscribed, seq: 9, recovered: false })
    expect(tracker.positionOf('chat:T1')?.seq).toBe(9)
  })

  test('keeps its own position when an answer joined on behind it, because what follows begins with repeats', () => {
    const tracker = new ChannelTracker()
    judgeAll(tracker, [snapshot(9, { id: 'a' }), timer(10), timer(11)])
    const answer = snapshot(9, { id: 'b', recovered: true }, 2)
    const verdicts = judgeAll(tracker, [answer, timer(10), timer(11), timer(12)])
    expect(verdicts).toEqual(['deliver', 'drop', 'drop', 'deliver'])
    tracker.judge(snapshot(20, { id: 'c', recovered: true }))
    expect(tracker.positionOf('table:T1')).toEqual({ epoch: 'e1', seq: 20 })
    tracker.judge(snapshot(3, { id: 'd', epoch: 'e2', recovered: true }))
    expect(tracker.positionOf('table:T1')).toEqual({ epoch: 'e2', seq: 3 })
  })

  test('takes the lobby and what is meant for the user on without having asked', () => {
    const tracker = new ChannelTracker()
    tracker.judge({
      type: 'SpectatorLeft',
      channel: 'user:a',
      epoch: 'e1',
      seq: 2,
      tableId: 'T1',
      userId: 'b',
      spectatorCount: 0,
    })
    tracker.judge({ type: 'LobbyTablesUpdated', channel: 'lobby', epoch: 'e1', seq: 7, tables: [] })
    expect(tracker.positions()).toEqual({ 'user:a': { epoch: 'e1', seq: 2 }, lobby: { epoch: 'e1', seq: 7 } })
  })

  test('lets a status jump: it is the whole truth about a user', () => {
    const tracker = new ChannelTracker()
    tracker.track('presence:bob')
    const changed = {
      type: 'PresenceChanged',
      channel: 'presence:bob',
      epoch: 'e1',
      userId: 'bob',
      at,
    } as const
    const verdicts = [1, 5, 5].map((seq) => tracker.judge({ ...changed, seq, status: 'away' }))
    expect(verdicts).toEqual(['deliver', 'deliver', 'drop'])
  })

  test('takes the position of a channel without a snapshot from Resumed, and waits for the snapshot of others', () => {
    const tracker = new ChannelTracker()
    for (const name of ['user:alice', 'chat:T1', 'table:T2', 'chat:T3']) tracker.track(name)
    const fresh = { recovered: false, epoch: 'e2', seq: 4 }
    const result = tracker.resumed({
      type: 'Resumed',
      channels: {
        'user:alice': fresh,
        'chat:T1': fresh,
        'chat:T3': { recovered: false, error: 'not_found' },
      },
    })
    expect(result).toEqual({
      lost: [{ channel: 'chat:T3', code: 'not_found' }],
      gaps: [
        { channel: 'user:alice', reason: 'not_recovered' },
        { channel: 'chat:T1', reason: 'not_recovered' },
      ],
      again: ['table:T2'],
    })
    expect(tracker.positions()).toEqual({ 'user:alice': { epoch: 'e2', seq: 4 } })
  })
})
