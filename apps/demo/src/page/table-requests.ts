import { createTable, fetchToken } from './demo-api.ts'
import type { Move } from './legal-actions.ts'
import { nameOf } from './names.ts'
import { openTable, withOlderChat } from './page-state.ts'
import type { PageTools } from './page-tools.ts'
import { takeSeat } from './seat-taking.ts'

const typingEveryMs = 2000
/** To open a table is worth waiting for a link that is down. */
const openTimeoutMs = 60_000

/** What the user asks for at a table. Each shows what went wrong; none throws. */
export interface TableRequests {
  open(tableId: string | undefined): Promise<void>
  createTable(): Promise<void>
  sit(seatId: number): Promise<void>
  leaveSeat(): Promise<void>
  act(move: Move): Promise<void>
  /** True when it was accepted. */
  say(text: string): Promise<boolean>
  typing(): void
  loadOlderChat(): Promise<void>
}

export function createTableRequests(tools: PageTools, refreshBalance: () => Promise<void>): TableRequests {
  const { user, client, state, set, notify, guarded } = tools
  let lastTypingAt = 0

  async function close(tableId: string, isSeated: boolean): Promise<void> {
    if (isSeated) notify('You left your seat at the other table.')
    await Promise.all([
      isSeated && client.request({ type: 'LeaveTable', tableId }),
      client.request({ type: 'UnsubscribeTable', tableId }),
      client.request({ type: 'UnsubscribeChat', tableId }),
    ])
  }
  async function open(tableId: string | undefined): Promise<void> {
    const { table } = state.get()
    if (table?.tableId === tableId) return
    set({ table: tableId === undefined ? undefined : openTable(tableId), story: [] })
    if (table) void close(table.tableId, table.state?.seats.some(({ userId }) => userId === user) ?? false)
    if (tableId === undefined) return
    const subscribed = await client.request({ type: 'SubscribeTable', tableId }, openTimeoutMs)
    if (!subscribed.ok) throw new Error(`The table did not open: ${subscribed.message}`)
    // Behind the table's: who watches is a member of the chat, and gets its history.
    await client.request({ type: 'SubscribeChat', tableId })
  }
  async function act(move: Move): Promise<void> {
    const { table, isActing } = state.get()
    const hand = table?.state?.hand
    if (!table || !hand || isActing) return
    const { tableId } = table
    set({ isActing: true })
    try {
      const answer = await client.request({ type: 'Action', tableId, handId: hand.handId, ...move })
      if (!answer.ok) notify(`${move.action}: ${answer.message} (${answer.code})`, 'error')
      else if (!answer.reply.accepted) notify(`${move.action} was refused: ${answer.reply.reason}`, 'error')
    } finally {
      set({ isActing: false })
    }
  }
  async function loadOlderChat(): Promise<void> {
    const { table } = state.get()
    const oldest = table?.chat[0]
    if (!table || !oldest) return
    const { tableId } = table
    const page = await client.request({ type: 'GetChatHistory', tableId, before: oldest.id })
    if (!page.ok) throw new Error(`No older messages: ${page.message}`)
    const { history, more } = page.reply
    state.update((now) =>
      now.table?.tableId === tableId ? { ...now, table: withOlderChat(now.table, history, more) } : now,
    )
  }

  return {
    open: async (tableId) => guarded(async () => open(tableId)),
    createTable: async () =>
      guarded(async () => open(await createTable(`${nameOf(user)}'s table`, await fetchToken(user)))),
    sit: async (seatId) =>
      guarded(async () => {
        const tableId = state.get().table?.tableId
        if (tableId === undefined) return
        const problem = await takeSeat(client, { user, tableId, seatId })
        if (problem !== undefined) notify(`No seat: ${problem}`, 'error')
        await refreshBalance()
      }),
    leaveSeat: async () =>
      guarded(async () => {
        const tableId = state.get().table?.tableId
        if (tableId === undefined) return
        const left = await client.request({ type: 'LeaveTable', tableId })
        if (!left.ok) notify(`Still seated: ${left.message}`, 'error')
        await refreshBalance()
      }),
    act: async (move) => guarded(async () => act(move)),
    async say(text) {
      const { table } = state.get()
      if (!table) return false
      const answer = await client.request({ type: 'ChatSend', tableId: table.tableId, message: text })
      if (!answer.ok) notify(`Not said: ${answer.message}`, 'error')
      return answer.ok
    },
    typing() {
      const { table } = state.get()
      if (!table || Date.now() - lastTypingAt < typingEveryMs) return
      lastTypingAt = Date.now()
      client.send({ type: 'SetTyping', tableId: table.tableId })
    },
    loadOlderChat: async () => guarded(loadOlderChat),
  }
}
