import { allChannel, limits, parseChannel, type Position, type Resumed } from '@gw/protocol'
import type { Gap, Incoming, Lost } from './client-events.ts'

/** What to do with a message: hand it on, drop it as a repeat, or fetch what is missing before it. */
export type Verdict = 'deliver' | 'drop' | { readonly gap: Gap['reason']; readonly channel: string }

/** What `Resumed` says of a channel that can be had later. */
const passing: readonly string[] = ['unavailable', 'timeout', 'rate_limited', 'bad_gateway']

interface Channel {
  /** Undefined until the next message states it. */
  position: Position | undefined
  /** Missing messages are being fetched: until then nothing of this channel is handed on. */
  recovering: boolean
  /** Of the newest table state that was handed on. */
  version: number
  /** Ids of chat messages that were handed on lately: history may hold one that is published after it. */
  readonly seen: Set<string>
}

interface WholeState {
  readonly id?: string
  readonly recovered?: boolean
}

/** Knows the subscribed channels and the last position handled in each, and judges messages by them (PROTOCOL.md, channels and resume). */
export class ChannelTracker {
  readonly #channels = new Map<string, Channel>()

  track(name: string): Channel {
    const channel = this.#channels.get(name) ?? {
      position: undefined,
      recovering: false,
      version: -1,
      seen: new Set(),
    }
    this.#channels.set(name, channel)
    return channel
  }

  forget(name: string): void {
    this.#channels.delete(name)
  }

  names(): string[] {
    return [...this.#channels.keys()]
  }

  positionOf(name: string): Position | undefined {
    return this.#channels.get(name)?.position
  }

  /** The known positions, as `resume` wants them. */
  positions(): Record<string, Position> {
    const known = [...this.#channels].flatMap(([name, { position }]) =>
      position ? [[name, position] as const] : [],
    )
    return Object.fromEntries(known.slice(0, limits.maxResumeChannels))
  }

  /** Missing messages were asked for (true), or will not come (false). */
  setRecovering(name: string, recovering: boolean): void {
    const channel = this.#channels.get(name)
    if (channel) channel.recovering = recovering
  }

  /** The connection is gone and with it what was on its way. */
  disconnected(): void {
    for (const channel of this.#channels.values()) channel.recovering = false
  }

  /** Continuity was lost: the next message states the position. */
  reset(name: string, position?: Position): void {
    const channel = this.#channels.get(name)
    if (!channel) return
    channel.position = position
    channel.recovering = false
    channel.version = -1
  }

  /** Takes the server's word on a resume; what it does not name, or could not do now, is to be subscribed again. */
  resumed({ channels }: Resumed): { lost: Lost[]; gaps: Gap[]; again: string[] } {
    const lost: Lost[] = []
    const gaps: Gap[] = []
    for (const [name, result] of Object.entries(channels)) {
      if ('error' in result) {
        if (passing.includes(result.error)) continue
        this.forget(name)
        lost.push({ channel: name, code: result.error })
      } else if (result.recovered) this.setRecovering(name, false)
      else {
        // Where a snapshot follows, it states the position itself.
        const hasSnapshot = ['table', 'chat', 'lobby'].includes(parseChannel(name)?.kind ?? '')
        this.reset(name, hasSnapshot ? undefined : { epoch: result.epoch, seq: result.seq })
        gaps.push({ channel: name, reason: 'not_recovered' })
      }
    }
    const again = this.names().filter((name) => {
      const result = channels[name]
      return !result || 'error' in result
    })
    return { lost, gaps, again }
  }

  judge(message: Incoming): Verdict {
    // An Ack states where a message was published, not what has been received.
    if (message.type === 'Ack' || !('channel' in message) || message.type === 'Reset') return 'deliver'
    const { channel: name, epoch, seq } = message
    if (name === undefined || epoch === undefined || seq === undefined) return 'deliver'
    const position = { epoch, seq }
    switch (message.type) {
      case 'Subscribed':
        this.track(name)
        this.reset(name, position)
        return 'deliver'
      case 'ChatSubscribed': {
        const channel = this.track(name)
        channel.recovering = false
        // Recovered: what was missed follows one by one, so our own position stays the measure.
        if (message.recovered) return 'deliver'
        channel.position = position
        for (const { id } of message.history) see(channel, id)
        return 'deliver'
      }
      case 'LobbyTablesUpdated':
        return this.#judgeState(name, position, message)
      case 'TableSnapshot': {
        const verdict = this.#judgeState(name, position, message)
        const channel = this.#channels.get(name)
        if (verdict !== 'deliver' || !channel) return verdict
        // What was missed follows behind an answer that is as new or newer: it counts, but is not drawn.
        const { version } = message.tableState
        if (message.id === undefined && version <= channel.version) return 'drop'
        channel.version = version
        return verdict
      }
      case 'ChatMessage': {
        const verdict = this.#judgeNext(name, position, false)
        const channel = this.#channels.get(name)
        return verdict === 'deliver' && channel && !see(channel, message.message.id) ? 'drop' : verdict
      }
      default:
        return this.#judgeNext(name, position, message.type === 'PresenceChanged')
    }
  }

  #judgeState(name: string, position: Position, { id, recovered }: WholeState): Verdict {
    // An answer means that the channel is subscribed; only the lobby (and `user:`) comes without having been asked for.
    const isAnswer = id !== undefined
    const channel = isAnswer || name === 'lobby' ? this.track(name) : this.#channels.get(name)
    if (!channel) return 'deliver'
    const known = channel.position
    const isPast = known?.epoch === position.epoch && position.seq <= known.seq
    if (isPast && !isAnswer) return 'drop'
    // Recovered: what follows from there begins with what we have.
    if (!isPast || !recovered) channel.position = position
    channel.recovering = false
    return 'deliver'
  }

  #judgeNext(name: string, position: Position, mayJump: boolean): Verdict {
    const channel = comesByItself(name) ? this.track(name) : this.#channels.get(name)
    if (!channel) return 'deliver'
    const known = channel.position
    if (known?.epoch === position.epoch && position.seq <= known.seq) return 'drop'
    const follows =
      known === undefined || (known.epoch === position.epoch && (mayJump || position.seq === known.seq + 1))
    // While missing messages are on their way only the very next one is of use.
    if (!follows)
      return channel.recovering
        ? 'drop'
        : { gap: known.epoch === position.epoch ? 'hole' : 'epoch', channel: name }
    channel.position = position
    return 'deliver'
  }
}

/** The channels of every connection; the lobby has its own rule. */
function comesByItself(name: string): boolean {
  return name === allChannel || name.startsWith('user:')
}

/** False when it had been seen. Keeps the last 200. */
function see({ seen }: Channel, id: string): boolean {
  if (seen.has(id)) return false
  seen.add(id)
  for (const oldest of seen) {
    if (seen.size <= 2 * limits.maxHistoryPage) break
    seen.delete(oldest)
  }
  return true
}
