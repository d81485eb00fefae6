import * as z from 'zod'

/** A finished hand as Game reports it in HAND_COMPLETED's payload `record`. Times in ms since 1970, cards as `10 hearts`. */
export const finishedHandSchema = z.object({
  handId: z.string().min(1),
  tableId: z.string().min(1),
  tableName: z.string(),
  config: z.object({ smallBlind: z.int(), bigBlind: z.int(), ante: z.int() }),
  participants: z.array(
    z.object({
      seatId: z.int(),
      userId: z.string(),
      startingStack: z.int(),
      endingStack: z.int(),
      holeCards: z.array(z.string()),
      actions: z.array(z.object({ street: z.string(), action: z.string(), amount: z.int(), at: z.number() })),
      result: z.enum(['WON', 'LOST', 'FOLDED']),
      wentAllIn: z.boolean(),
      wasShown: z.boolean(),
    }),
  ),
  communityCards: z.array(z.string()),
  pots: z.array(z.object({ amount: z.int(), winners: z.array(z.string()) })),
  winners: z.array(z.object({ userId: z.string(), amount: z.int() })),
  startedAt: z.number(),
  completedAt: z.number(),
})
export type FinishedHand = z.infer<typeof finishedHandSchema>
