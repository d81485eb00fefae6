import type { JsonObject } from '@bufbuild/protobuf'
import type { Card } from '../engine/cards.ts'
import type { Hand, LoggedAction } from '../engine/hand.ts'
import type { FinishedHand } from '../event/hand-record.ts'
import type { AuditEvent } from './audit-trail.ts'

/** The audit events of one step of a hand, by comparing it before (null: it has just begun) and after. */
export function handEvents(
  before: Hand | null,
  after: Hand,
  table: { tableId: string; name: string },
): AuditEvent[] {
  const at = { tableId: table.tableId, handId: after.handId }
  const events: AuditEvent[] = []
  if (!before) {
    const participants = after.players.map((player) => player.userId)
    events.push({ ...at, type: 'HAND_STARTED', payload: { buttonSeat: after.button, participants } })
  }
  for (const action of after.actions.slice(before?.actions.length ?? 0)) {
    const type = action.type === 'POST_BLIND' ? 'BLIND_POSTED' : 'ACTION_TAKEN'
    events.push({ ...at, type, userId: action.userId, seatId: action.seatId, payload: actionPayload(action) })
  }
  if (before && after.communityCards.length > before.communityCards.length)
    events.push({
      ...at,
      type: 'STREET_ADVANCED',
      payload: { street: after.street, communityCards: after.communityCards.map(cardName) },
    })
  if (after.endedAt === null) return events
  if (after.street === 'SHOWDOWN') events.push({ ...at, type: 'SHOWDOWN', payload: {} })
  for (const pot of after.pots)
    events.push({ ...at, type: 'POT_AWARDED', payload: { amount: pot.amount, winners: [...pot.winners] } })
  const winners = [...after.payouts.keys()]
  const record: JsonObject = { ...finishedHand(after, table) }
  return [...events, { ...at, type: 'HAND_COMPLETED', payload: { winners, record } }]
}

function finishedHand(hand: Hand, table: { tableId: string; name: string }): FinishedHand {
  const userAt = new Map(hand.players.map((player) => [player.seatId, player.userId]))
  const nameOf = (seatId: number): string => userAt.get(seatId) ?? ''
  return {
    handId: hand.handId,
    tableId: table.tableId,
    tableName: table.name,
    config: { smallBlind: hand.smallBlind, bigBlind: hand.bigBlind, ante: hand.ante },
    participants: hand.players.map((player) => {
      const actions = hand.actions.filter((action) => action.seatId === player.seatId)
      const isFolded = player.status === 'FOLDED'
      return {
        seatId: player.seatId,
        userId: player.userId,
        startingStack: player.startingStack,
        endingStack: player.stack,
        holeCards: player.holeCards.map(cardName),
        actions: actions.map(({ street, type, amount, at }) => ({ street, action: type, amount, at })),
        result: isFolded ? 'FOLDED' : hand.payouts.has(player.seatId) ? 'WON' : 'LOST',
        wentAllIn: actions.some((action) => action.isAllIn),
        wasShown: hand.street === 'SHOWDOWN' && !isFolded,
      }
    }),
    communityCards: hand.communityCards.map(cardName),
    pots: hand.pots.map((pot) => ({ amount: pot.amount, winners: pot.winners.map(nameOf) })),
    winners: [...hand.payouts].map(([seatId, amount]) => ({ userId: nameOf(seatId), amount })),
    startedAt: hand.startedAt,
    completedAt: hand.endedAt ?? hand.startedAt,
  }
}

function actionPayload({ type, amount, seatId, street, isAllIn }: LoggedAction): JsonObject {
  return { action: type, amount, seatId, street, isAllIn }
}

function cardName(card: Card): string {
  return `${card.rank} ${card.suit}`
}
