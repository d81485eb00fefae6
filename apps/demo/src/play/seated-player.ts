import type { Card, Hand, ServerMessage, TableState } from '@gw/protocol'
import type { TableSocket } from './table-socket.ts'

/** What one viewer has seen of a hand. */
export interface Sight {
  readonly name: string
  readonly handId: string
  readonly street: string
  readonly board: readonly string[]
  /** User ids, sorted. */
  readonly winners: readonly string[]
  /** The viewer's own cards; empty for a spectator. */
  readonly holeCards: readonly string[]
}

export interface ViewerOptions {
  readonly socket: TableSocket
  readonly tableId: string
  /** The viewer's seat; null for a spectator. */
  readonly seatId: number | null
  readonly print: (line: string) => void
}

/** Watches a table, plays its seat when it has one (calls everything, bets once on the flop), and resolves when a hand has ended. */
export function viewHand(options: ViewerOptions): Promise<Sight> {
  const { socket, tableId, seatId, print } = options
  const seen = Promise.withResolvers<Sight>()
  const cards = new Map<string, readonly Card[]>()
  let asked = ''
  let acted = ''
  let shown = ''

  const show = (state: TableState, hand: Hand): void => {
    const line = `${hand.street} board [${hand.communityCards.map(cardText).join(' ')}] pot ${potOf(hand)}`
    if (shown === line) return
    shown = line
    print(`${socket.name.padEnd(6)} sees  v${state.version} ${line}`)
  }
  const play = (state: TableState, hand: Hand): void => {
    const turn = `${hand.handId}:${hand.actions.length}`
    if (seatId === null || hand.turn !== seatId || hand.endedAt || acted === turn) return
    acted = turn
    const move = chooseMove(hand, seatId, state.config.bigBlind)
    print(
      `${socket.name.padEnd(6)} plays ${move.action}${move.amount === undefined ? '' : ` ${move.amount}`}`,
    )
    socket.send({ type: 'Action', tableId, handId: hand.handId, ...move })
  }
  const onSnapshot = (state: TableState): void => {
    const { hand } = state
    if (state.tableId !== tableId || !hand) return
    if (seatId !== null && !cards.has(hand.handId) && asked !== hand.handId && !hand.endedAt) {
      // A gateway that doesn't push hole cards on a new hand gives them on request.
      asked = hand.handId
      socket.send({ type: 'ResyncTable', tableId })
    }
    show(state, hand)
    if (hand.endedAt) {
      const holeCards = (cards.get(hand.handId) ?? []).map(cardText)
      seen.resolve({ ...sightOf(state, hand), name: socket.name, holeCards })
    } else play(state, hand)
  }
  socket.onMessage((message: ServerMessage) => {
    if (message.type === 'TableSnapshot') onSnapshot(message.tableState)
    if (message.type === 'HoleCards' && !cards.has(message.handId)) {
      cards.set(message.handId, message.cards)
      print(`${socket.name.padEnd(6)} holds ${message.cards.map(cardText).join(' ')}`)
    }
    if (message.type === 'ActionResult' && !message.accepted)
      seen.reject(new Error(`${socket.name}: the action was refused: ${message.reason}`))
    if (message.type === 'Error') seen.reject(new Error(`${socket.name}: ${message.message}`))
  })
  return seen.promise
}

interface PlayerMove {
  readonly action: 'Check' | 'Call' | 'Bet'
  readonly amount?: number
}

/** Bets the big blind as first to speak on the flop, else calls or checks. */
function chooseMove(hand: Hand, seatId: number, bigBlind: number): PlayerMove {
  if (hand.currentBet > putIn(hand, seatId)) return { action: 'Call' }
  const isOpen = hand.street === 'FLOP' && hand.currentBet === 0 && (hand.actedSeats ?? []).length === 0
  return isOpen && hand.turn === seatId && !hasBet(hand)
    ? { action: 'Bet', amount: bigBlind }
    : { action: 'Check' }
}

/** A seat's chips on this street. Broadcasts may lack `roundContributions`: before the flop the blinds tell, later only a bet by another. */
function putIn(hand: Hand, seatId: number): number {
  const known = hand.roundContributions?.[String(seatId)]
  if (known !== undefined) return known
  if (hand.street !== 'PREFLOP') return 0
  const mine = hand.actions.filter((action) => action.seatId === seatId)
  const blind = mine.find((action) => action.type === 'POST_BLIND')?.amount ?? 0
  return mine.some((action) => action.type === 'CALL') ? hand.currentBet : blind
}

function hasBet(hand: Hand): boolean {
  return hand.actions.some((action) => action.type === 'BET')
}

function sightOf(state: TableState, hand: Hand): Omit<Sight, 'name' | 'holeCards'> {
  const userAt = new Map(state.seats.map((seat) => [seat.seatId, seat.userId ?? '']))
  return {
    handId: hand.handId,
    street: hand.street,
    board: hand.communityCards.map(cardText),
    winners: (hand.winners ?? [])
      .map((seatId) => userAt.get(seatId) ?? '')
      .toSorted((a, b) => a.localeCompare(b)),
  }
}

function potOf(hand: Hand): number {
  return hand.pots.reduce((sum, pot) => sum + pot.amount, 0)
}

const suitSigns = { clubs: '♣', diamonds: '♦', hearts: '♥', spades: '♠' } as const

function cardText(card: Card): string {
  return card.rank + suitSigns[card.suit]
}
