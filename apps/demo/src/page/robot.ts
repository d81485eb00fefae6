import { createClient } from '@gw/client'
import type { TableState } from '@gw/protocol'
import { chooseMove } from './choose-move.ts'
import { fetchToken } from './demo-api.ts'
import { legalActions } from './legal-actions.ts'
import { nameOf } from './names.ts'
import { takeSeat } from './seat-taking.ts'

/** Somebody to play with: a client of its own in this page, under a demo user's name. */
export interface Robot {
  readonly user: string
  /** Leaves the table and ends its connection. */
  stop(): Promise<void>
}

export interface RobotOptions {
  readonly user: string
  readonly tableId: string
  readonly url: string
  readonly onProblem: (text: string) => void
}

const leaveTimeoutMs = 5000
const thinkMs = { least: 700, most: 1600 }

/** Connects, takes the first free seat, and plays until `stop`. */
export async function startRobot({ user, tableId, url, onProblem }: RobotOptions): Promise<Robot> {
  const client = createClient({
    url,
    token: async () => fetchToken(user),
    features: ['acks', 'heartbeat', 'drain'],
  })
  let thinking: ReturnType<typeof setTimeout> | undefined
  let thoughtOf = ''
  let isSitting = false
  let isLeaving = false

  const sit = async (table: TableState): Promise<void> => {
    if (isSitting) return
    const free = table.seats.find(({ status }) => status === 'EMPTY')
    if (!free) return onProblem('The table is full.')
    isSitting = true
    try {
      const problem = await takeSeat(client, { user, tableId, seatId: free.seatId })
      // Somebody was quicker: the next snapshot shows another seat.
      if (problem !== undefined && problem !== 'SEAT_NOT_AVAILABLE')
        onProblem(`${nameOf(user)} got no seat: ${problem}`)
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error))
    } finally {
      isSitting = false
    }
  }
  const act = (table: TableState): void => {
    const seat = table.seats.find(({ userId }) => userId === user)
    const legal = legalActions(table, seat?.seatId)
    const { hand } = table
    const turn = `${hand?.handId}:${hand?.actions.length}`
    if (!legal || !hand || thoughtOf === turn) return
    thoughtOf = turn
    clearTimeout(thinking)
    thinking = setTimeout(
      () => {
        const move = chooseMove(hand, legal, Math.random)
        void client.request({ type: 'Action', tableId, handId: hand.handId, ...move })
      },
      thinkMs.least + Math.random() * (thinkMs.most - thinkMs.least),
    )
  }
  client.on('TableSnapshot', ({ tableState }) => {
    if (isLeaving || tableState.tableId !== tableId) return
    const seat = tableState.seats.find(({ userId }) => userId === user)
    if (!seat) void sit(tableState)
    else if (seat.status === 'SEATED' && seat.stack === 0 && !tableState.hand)
      void client.request({ type: 'LeaveTable', tableId })
    else act(tableState)
  })
  if (!(await client.connect())) {
    client.close()
    throw new Error(`${user} could not connect`)
  }
  await client.request({ type: 'SubscribeTable', tableId })
  return {
    user,
    async stop() {
      isLeaving = true
      clearTimeout(thinking)
      await client.request({ type: 'LeaveTable', tableId }, leaveTimeoutMs)
      client.close()
    },
  }
}
