import type { Card } from '@gw/protocol'
import type { JSX } from 'preact'

/** Drawn, not typed: fonts disagree about what a suit looks like. In a box of 100 by 100. */
const outlines: Readonly<Record<Card['suit'], string>> = {
  hearts:
    'M50 92C22 66 6 50 6 31 6 17 16 8 28 8c9 0 17 5 22 15C55 13 63 8 72 8c12 0 22 9 22 23 0 19-16 35-44 61Z',
  diamonds: 'M50 4C60 22 72 37 87 50 72 63 60 78 50 96 40 78 28 63 13 50 28 37 40 22 50 4Z',
  spades:
    'M50 5C36 28 8 40 8 62c0 13 9 20 19 20 8 0 14-4 18-10-1 11-5 18-12 24h34c-7-6-11-13-12-24 4 6 10 10 18 10 10 0 19-7 19-20C92 40 64 28 50 5Z',
  clubs:
    'M50 5c12 0 21 9 21 20 0 7-3 13-9 18 3-2 7-3 11-3 12 0 21 9 21 21s-9 21-21 21c-8 0-14-4-18-10 1 10 5 18 12 24H33c7-6 11-14 12-24-4 6-10 10-18 10C15 82 6 73 6 61s9-21 21-21c4 0 8 1 11 3-6-5-9-11-9-18C29 14 38 5 50 5Z',
}

export function Suit({ suit }: { readonly suit: Card['suit'] }): JSX.Element {
  return (
    <svg class="suit" viewBox="0 0 100 100" aria-hidden="true">
      <path d={outlines[suit]} />
    </svg>
  )
}
