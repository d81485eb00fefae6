/** The part of pokersolver that the engine uses: its best five of seven, and the ties among several. */
declare module 'pokersolver' {
  export interface SolvedHand {
    readonly name: string
    readonly descr: string
    readonly rank: number
  }
  const pokersolver: {
    readonly Hand: {
      solve(cards: readonly string[]): SolvedHand
      winners(hands: readonly SolvedHand[]): SolvedHand[]
    }
  }
  export default pokersolver
}
