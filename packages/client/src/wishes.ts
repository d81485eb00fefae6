import { chatChannel, limits, lobbyChannel, parseChannel, tableChannel } from '@gw/protocol'
import type { RequestMessage } from './pending-requests.ts'

/** What the server forgets with a connection and `resume` does not bring back: told again on each new one. */
export class Wishes {
  readonly #users = new Set<string>()
  #lobby = true
  #away = false

  note(message: RequestMessage): void {
    if (message.type === 'SubscribeLobby') this.#lobby = true
    else if (message.type === 'UnsubscribeLobby') this.#lobby = false
    else if (message.type === 'SetAway') this.#away = message.away
    else if (message.type === 'SubscribePresence')
      for (const userId of message.userIds) this.#users.add(userId)
    else if (message.type === 'UnsubscribePresence')
      for (const userId of message.userIds) this.#users.delete(userId)
  }

  /** What to ask on a new connection. */
  restore(): RequestMessage[] {
    const users = [...this.#users]
    const messages: RequestMessage[] = []
    if (!this.#lobby) messages.push({ type: 'UnsubscribeLobby' })
    if (this.#away) messages.push({ type: 'SetAway', away: true })
    while (users.length > 0)
      messages.push({ type: 'SubscribePresence', userIds: users.splice(0, limits.maxPresenceUsers) })
    return messages
  }
}

/** The channel that an unsubscribe ends. */
export function endedChannel(message: RequestMessage): string | undefined {
  if (message.type === 'UnsubscribeTable') return tableChannel(message.tableId)
  if (message.type === 'UnsubscribeChat') return chatChannel(message.tableId)
  return message.type === 'UnsubscribeLobby' ? lobbyChannel : undefined
}

/** What fetches a channel's missing messages or its newest state; undefined for channels that cannot be asked for. */
export function recoveryOf(
  channel: string,
  since?: { epoch: string; seq: number },
): RequestMessage | undefined {
  const { kind, id: tableId = '' } = parseChannel(channel) ?? {}
  const from = since && { since }
  if (kind === 'table') return { type: 'SubscribeTable', tableId, ...from }
  if (kind === 'chat') return { type: 'SubscribeChat', tableId, ...from }
  return kind === 'lobby' ? { type: 'SubscribeLobby' } : undefined
}
