import type { Client, Gap } from '@gw/client'
import { parseChannel, type ServerMessage } from '@gw/protocol'
import { createStore, type Store } from './store.ts'

/** A message of a channel as it was handed on to the page. */
export interface Received {
  readonly channel: string
  readonly epoch: string
  readonly seq: number
  readonly type: string
}

/** What has come through one channel. */
export interface ChannelCount {
  readonly epoch: string
  /** The last one handled. */
  readonly seq: number
  readonly received: number
  /** Of these, missed while there was no connection and delivered by the resume. */
  readonly recovered: number
  /** Numbers that never came, in channels where each message counts. */
  readonly lost: number
  /** Numbers that came twice. */
  readonly doubled: number
  /** Newest states that came in place of several. */
  readonly skipped: number
  /** Times that the server or the SDK said that continuity is lost. */
  readonly resets: number
}

export interface Traffic {
  readonly channels: Store<ReadonlyMap<string, ChannelCount>>
  /** The newest 2000, oldest first. */
  readonly received: () => readonly Received[]
  readonly stop: () => void
}

const maxReceived = 2000
const fresh = { received: 0, recovered: 0, lost: 0, doubled: 0, skipped: 0, resets: 0 }

/** Counts what the SDK hands on, by its own arithmetic and not the SDK's. */
export function watchTraffic(client: Pick<Client, 'on' | 'request'>): Traffic {
  const channels = createStore<ReadonlyMap<string, ChannelCount>>(new Map())
  const received: Received[] = []
  let isCatchingUp = false

  const set = (
    channel: string,
    change: (count: ChannelCount | undefined) => ChannelCount | undefined,
  ): void =>
    channels.update((all) => {
      const next = new Map(all)
      const count = change(all.get(channel))
      if (count) next.set(channel, count)
      else next.delete(channel)
      return next
    })

  const onMessage = (message: ServerMessage): void => {
    if (message.type === 'Resumed') {
      isCatchingUp = true
      // The server answers in order: what comes before this answer was missed.
      void client.request({ type: 'Ping' }).then(() => (isCatchingUp = false))
    }
    // An Ack states where something was published, not what has come.
    if (!('channel' in message) || message.type === 'Ack' || message.type === 'Reset') return
    const { channel, epoch, seq } = message
    if (channel === undefined || epoch === undefined || seq === undefined) return
    const isAnswer = 'id' in message && message.id !== undefined
    if (isAnswer) {
      // Joined on to what we have: what was missed follows by itself.
      if ('recovered' in message && message.recovered && message.type === 'ChatSubscribed') return
      set(channel, (count) => ({ ...(count ?? fresh), epoch, seq }))
      return
    }
    received.push({ channel, epoch, seq, type: message.type })
    if (received.length > maxReceived) received.shift()
    set(channel, (count) => next(count, { channel, epoch, seq, isCatchingUp }))
  }
  const onGap = ({ channel, reason }: Gap): void => {
    if (reason === 'hole') return
    set(channel, (count) => count && { ...count, epoch: '', resets: count.resets + 1 })
  }
  const offs = [
    client.on('message', onMessage),
    client.on('gap', onGap),
    client.on('lost', ({ channel }) => set(channel, () => undefined)),
  ]
  return {
    channels,
    received: () => received,
    stop: () => {
      for (const off of offs) off()
    },
  }
}

function next(
  count: ChannelCount | undefined,
  {
    channel,
    epoch,
    seq,
    isCatchingUp,
  }: { channel: string; epoch: string; seq: number; isCatchingUp: boolean },
): ChannelCount {
  if (!count || count.epoch !== epoch)
    return { ...(count ?? fresh), epoch, seq, received: (count?.received ?? 0) + 1 }
  if (seq <= count.seq) return { ...count, doubled: count.doubled + 1 }
  const missing = seq - count.seq - 1
  const kind = parseChannel(channel)?.kind
  const isEachOne = kind === 'chat' || kind === 'user'
  return {
    ...count,
    seq,
    received: count.received + 1,
    recovered: count.recovered + (isCatchingUp ? 1 : 0),
    lost: count.lost + (isEachOne ? missing : 0),
    skipped: count.skipped + (isEachOne ? 0 : missing),
  }
}
