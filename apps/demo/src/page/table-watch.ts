import type { ServerMessage, TableState } from '@gw/protocol'
import { chooseMove } from './choose-move.ts'
import { fetchBalance, fetchShownCards, fetchToken } from './demo-api.ts'
import { legalActions, type Move } from './legal-actions.ts'
import { narrate } from './narrate.ts'
import { ownSeat, receive } from './page-state.ts'
import type { PageTools } from './page-tools.ts'

const autoPlayMs = 900
const typingMs = 4100
const keptStory = 60

/** Takes every message into the state, and does what follows from it: the story, shown cards, chips, presence, auto-play. */
export function watchTable(tools: PageTools, act: (move: Move) => Promise<void>) {
  const { user, client, state, set, later, guarded } = tools
  let lastStoryId = 0
  let playedTurn = ''

  const tell = (sentences: readonly string[]): void => {
    if (sentences.length === 0) return
    const added = sentences.map((text) => ({ id: ++lastStoryId, text }))
    state.update((page) => ({ ...page, story: [...page.story, ...added].slice(-keptStory) }))
  }
  const refreshBalance = async (): Promise<void> => {
    set({ balance: await fetchBalance(user, await fetchToken(user)) })
  }
  const showCards = async (handId: string): Promise<void> => {
    const shown = await fetchShownCards(handId, await fetchToken(user))
    state.update((page) => {
      const { table } = page
      if (!table || table.ended?.hand.handId !== handId) return page
      return { ...page, table: { ...table, ended: { ...table.ended, shown } } }
    })
  }
  const onHandEnded = ({ hand }: TableState): void => {
    if (hand?.street !== 'SHOWDOWN') return
    const { handId } = hand
    // The record is written behind the last broadcast.
    const again = (): void => later(700, () => void guarded(async () => showCards(handId)))
    later(250, () => void showCards(handId).catch(again))
  }
  const autoPlay = (): void => {
    const page = state.get()
    const table = page.table?.state
    const legal = page.isAutoPlaying && table ? legalActions(table, ownSeat(page)?.seatId) : null
    if (!legal || !table?.hand) return
    const turn = `${table.hand.handId}:${table.hand.actions.length}`
    if (playedTurn === turn) return
    playedTurn = turn
    const move = chooseMove(table.hand, legal, Math.random)
    later(autoPlayMs, () => {
      if (state.get().isAutoPlaying) void act(move)
    })
  }
  const watchPeople = ({ seats, spectators }: TableState): void => {
    const { presence } = state.get()
    const people = [...seats, ...spectators].map(({ userId }) => userId)
    const userIds = [...new Set(people)].filter((id): id is string => id !== null && !(id in presence))
    if (userIds.length === 0) return
    const unknown = Object.fromEntries(userIds.map((id) => [id, 'offline' as const]))
    set({ presence: { ...presence, ...unknown } })
    void client.request({ type: 'SubscribePresence', userIds })
  }
  const onMessage = (message: ServerMessage): void => {
    const before = state.get()
    const after = receive(before, message, Date.now())
    state.update(() => after)
    // Drawn anew when it no longer holds.
    if (message.type === 'Typing')
      later(typingMs, () =>
        state.update((page) => (page.table ? { ...page, table: { ...page.table } } : page)),
      )
    const table = after.table?.state
    if (message.type !== 'TableSnapshot' || !table || table === before.table?.state) return
    tell(narrate(before.table?.state, table, user))
    watchPeople(table)
    if (table.hand?.endedAt && before.table?.ended?.hand.handId !== table.hand.handId) onHandEnded(table)
    if (before.table?.state?.hand && !table.hand) void guarded(refreshBalance)
    autoPlay()
  }

  client.on('message', onMessage)
  return {
    refreshBalance,
    setAutoPlay: (isAutoPlaying: boolean): void => {
      set({ isAutoPlaying })
      playedTurn = ''
      autoPlay()
    },
  }
}
