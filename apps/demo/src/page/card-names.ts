import { type Card, ranks, suits } from '@gw/protocol'

const rankNames: Readonly<Partial<Record<Card['rank'], string>>> = {
  J: 'Jack',
  Q: 'Queen',
  K: 'King',
  A: 'Ace',
}

/** `Queen of hearts`, for who hears the page. */
export function cardName({ rank, suit }: Card): string {
  return `${rankNames[rank] ?? rank} of ${suit}`
}

const signs = { hearts: '♥', diamonds: '♦', clubs: '♣', spades: '♠' } as const

/** `Q♥` */
export function cardSign({ rank, suit }: Card): string {
  return rank + signs[suit]
}

/** Reads `10 hearts`, as hand records have it; undefined when it is none. */
export function parseCard(text: string): Card | undefined {
  const [rankText, suitText] = text.split(' ')
  const rank = ranks.find((known) => known === rankText)
  const suit = suits.find((known) => known === suitText)
  return rank && suit && { rank, suit }
}
