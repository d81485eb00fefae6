import type { Hand, HandAction, TableState } from '@gw/protocol'
import { cardSign } from './card-names.ts'
import { chips, nameOf } from './names.ts'

/** What happened from one state of a table to a later one, in sentences; `user` is called "you". */
export function narrate(before: TableState | undefined, after: TableState, user: string): readonly string[] {
  if (!before || before.tableId !== after.tableId) return []
  return [...seatChanges(before, after, user), ...handChanges(before.hand, after, user)]
}

function seatChanges(before: TableState, after: TableState, user: string): string[] {
  return after.seats.flatMap((seat) => {
    const was = before.seats.find(({ seatId }) => seatId === seat.seatId)
    if (
      seat.userId !== null &&
      seat.status !== 'RESERVED' &&
      (was?.userId !== seat.userId || was.status === 'RESERVED')
    )
      return [`${who(seat.userId, user)} sat down with ${chips(seat.stack)}.`]
    if (seat.userId === null && was?.userId && was.status !== 'RESERVED')
      return [`${who(was.userId, user)} left the table.`]
    return []
  })
}

function handChanges(before: Hand | null, { hand, seats }: TableState, user: string): string[] {
  if (!hand) return []
  const isNew = before?.handId !== hand.handId
  const known = new Set(isNew ? [] : before.actions.map(({ actionId }) => actionId))
  const said = hand.actions
    .filter(({ actionId }) => !known.has(actionId))
    .map((action) => sayAction(action, user))
  const sentences = isNew ? ['A new hand begins.', ...said] : said
  const had = isNew ? 0 : before.communityCards.length
  if (hand.communityCards.length > had) {
    const cards = hand.communityCards.slice(had).map(cardSign).join(' ')
    sentences.push(`${streetName(hand)}: ${cards}`)
  }
  if (hand.endedAt && (isNew || !before.endedAt)) {
    for (const [seatId, amount] of winnings(hand)) {
      const userId = seats.find((seat) => seat.seatId === seatId)?.userId ?? `seat ${seatId + 1}`
      sentences.push(`${who(userId, user)} ${userId === user ? 'win' : 'wins'} ${chips(amount)}.`)
    }
  }
  return sentences
}

/** Chips won by seat; a pot that is shared is shared evenly, odd chips to the first. */
export function winnings(hand: Hand): ReadonlyMap<number, number> {
  const won = new Map<number, number>()
  for (const { amount, winners = [] } of hand.pots) {
    const share = Math.floor(amount / Math.max(1, winners.length))
    for (const [at, seatId] of winners.entries())
      won.set(seatId, (won.get(seatId) ?? 0) + share + (at === 0 ? amount - share * winners.length : 0))
  }
  return won
}

function streetName({ communityCards }: Hand): string {
  return { 3: 'Flop', 4: 'Turn', 5: 'River' }[communityCards.length] ?? 'Board'
}

function sayAction({ userId, type, amount }: HandAction, user: string): string {
  const name = who(userId, user)
  const s = userId === user ? '' : 's'
  switch (type) {
    case 'POST_BLIND':
      return `${name} post${s} ${chips(amount)}.`
    case 'FOLD':
      return `${name} fold${s}.`
    case 'CHECK':
      return `${name} check${s}.`
    case 'CALL':
      return `${name} call${s}.`
    case 'BET':
      return `${name} bet${s} ${chips(amount)}.`
    case 'RAISE':
      return `${name} raise${s} to ${chips(amount)}.`
    case 'ALL_IN':
      return userId === user ? 'You are all in.' : `${name} is all in.`
  }
}

function who(userId: string, user: string): string {
  return userId === user ? 'You' : nameOf(userId)
}
