import { advance } from './betting.ts'
import type { Card } from './cards.ts'
import { clockwiseFrom, type Hand, playerAt, type Player, withPlayer } from './hand.ts'

/** Who plays and for what. At least two seats with chips, in ascending order; `deck` has all 52 cards, shuffled. */
export interface HandSetup {
  readonly handId: string
  readonly seats: readonly { readonly seatId: number; readonly userId: string; readonly stack: number }[]
  readonly button: number
  readonly smallBlind: number
  readonly bigBlind: number
  readonly ante: number
  readonly deck: readonly Card[]
  /** Milliseconds since 1970. */
  readonly at: number
}

/**
 * Antes, blinds and two cards each. With two players the button posts the small blind and acts first before the flop;
 * else the two seats after the button post. A stack smaller than ante or blind is all-in with what it has.
 */
export function startHand(setup: HandSetup): Hand {
  const order = clockwiseFrom(setup.seats, setup.button).map((seat) => seat.seatId)
  const [small, big] = order.length === 2 ? [order[1], order[0]] : [order[0], order[1]]
  if (small === undefined || big === undefined) throw new RangeError('A hand needs two players')
  let hand: Hand = {
    handId: setup.handId,
    button: setup.button,
    smallBlind: setup.smallBlind,
    bigBlind: setup.bigBlind,
    ante: setup.ante,
    street: 'PREFLOP',
    deck: setup.deck.slice(order.length * 2),
    communityCards: [],
    players: setup.seats.map((seat) => seatedPlayer(seat, setup.deck, order)),
    currentBet: setup.bigBlind,
    minRaise: setup.bigBlind,
    turn: big,
    lastAggressor: big,
    actedSeats: [],
    raiseCapped: false,
    actions: [],
    startedAt: setup.at,
    endedAt: null,
    pots: [],
    payouts: new Map(),
  }
  if (setup.ante > 0)
    for (const seatId of order) hand = post(hand, { seatId, amount: setup.ante, isAnte: true })
  hand = post(hand, { seatId: small, amount: setup.smallBlind, isAnte: false })
  hand = post(hand, { seatId: big, amount: setup.bigBlind, isAnte: false })
  return advance(hand, setup.at)
}

/** Two cards, dealt one at a time around the table from the seat after the button. */
function seatedPlayer(
  seat: HandSetup['seats'][number],
  deck: readonly Card[],
  order: readonly number[],
): Player {
  const place = order.indexOf(seat.seatId)
  return {
    seatId: seat.seatId,
    userId: seat.userId,
    startingStack: seat.stack,
    stack: seat.stack,
    holeCards: [deck[place], deck[place + order.length]].flatMap((card) => card ?? []),
    status: 'ACTIVE',
    committed: 0,
    roundContribution: 0,
    left: false,
  }
}

function post(hand: Hand, due: { seatId: number; amount: number; isAnte: boolean }): Hand {
  const player = playerAt(hand, due.seatId)
  const paid = Math.min(due.amount, player?.stack ?? 0)
  if (!player || paid === 0) return hand
  const isAllIn = paid === player.stack
  const posted = withPlayer(hand, due.seatId, {
    stack: player.stack - paid,
    committed: player.committed + paid,
    roundContribution: player.roundContribution + (due.isAnte ? 0 : paid),
    status: isAllIn ? 'ALL_IN' : 'ACTIVE',
  })
  const { seatId, userId } = player
  const entry = { seatId, userId, type: 'POST_BLIND', amount: paid, street: 'PREFLOP', isAllIn } as const
  return { ...posted, actions: [...hand.actions, { ...entry, at: hand.startedAt }] }
}
