const ranks = ['2', '3', '4', '5', '6', '7', '8', '9', '10', 'J', 'Q', 'K', 'A'] as const
const suits = ['clubs', 'diamonds', 'hearts', 'spades'] as const

/** One card as the wire names it: `10` for a ten, suits as words. */
export interface Card {
  readonly rank: (typeof ranks)[number]
  readonly suit: (typeof suits)[number]
}

/** A uniformly distributed integer in [0, exclusiveMax). */
export type RandomInt = (exclusiveMax: number) => number

/** The 52 cards in a fixed order. */
export function freshDeck(): Card[] {
  return suits.flatMap((suit) => ranks.map((rank) => ({ rank, suit })))
}

/** A shuffled copy (Fisher-Yates): every order is equally likely when `randomInt` is uniform. */
export function shuffle(cards: readonly Card[], randomInt: RandomInt): Card[] {
  const deck = [...cards]
  for (let last = deck.length - 1; last > 0; last--) {
    const pick = randomInt(last + 1)
    const [a, b] = [deck[last], deck[pick]]
    if (a && b) [deck[last], deck[pick]] = [b, a]
  }
  return deck
}

/** Repeatable numbers from a seed (mulberry32), for tests only: anyone who knows the seed knows the deck. */
export function seededRandom(seed: number): RandomInt {
  let state = seed >>> 0
  return (exclusiveMax) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * exclusiveMax)
  }
}
