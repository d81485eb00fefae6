import { PubSubError } from './errors.ts'

/** `event`: each message matters. `state`: the latest replaces earlier ones. `ephemeral`: no log, may be missed. */
export type ChannelKind = 'event' | 'state' | 'ephemeral'

/** What holds for all channels whose name begins with `prefix`; the longest prefix wins. */
export interface ChannelClass {
  readonly prefix: string
  readonly kind: ChannelKind
  /** Messages kept for those who missed them. Always 0 for `ephemeral`. */
  readonly historySize: number
  /** How long a message is kept, by its own age, in ms. */
  readonly historyMaxAgeMs: number
}

/** For channels that no given class matches: events, the last 1000 of five minutes. */
export const defaultChannelClass: ChannelClass = {
  prefix: '',
  kind: 'event',
  historySize: 1000,
  historyMaxAgeMs: 300_000,
}

const maxChannelLength = 256

/** Finds the class of a channel; checks the classes at construction (`invalid`) and a channel's name at each use. */
export class ChannelClasses {
  readonly #classes: readonly ChannelClass[]

  constructor(classes: readonly ChannelClass[] = []) {
    for (const { prefix, kind, historySize, historyMaxAgeMs } of classes) {
      if (!Number.isInteger(historySize) || historySize < 0 || (kind !== 'ephemeral' && historySize === 0))
        throw new PubSubError('invalid', `Class '${prefix}': historySize must be a positive integer`)
      if (!(historyMaxAgeMs >= 0))
        throw new PubSubError('invalid', `Class '${prefix}': historyMaxAgeMs is not valid`)
    }
    this.#classes = [...classes, defaultChannelClass]
      .map((entry) => (entry.kind === 'ephemeral' ? { ...entry, historySize: 0 } : { ...entry }))
      .sort((a, b) => b.prefix.length - a.prefix.length)
  }

  /** Throws `invalid` for a name that is empty, longer than 256 characters or has control characters. */
  of(channel: string): ChannelClass {
    if (channel.length === 0 || channel.length > maxChannelLength || /\p{Cc}/u.test(channel))
      throw new PubSubError(
        'invalid',
        'A channel name has 1 to 256 characters, none of them control characters',
      )
    return this.#classes.find(({ prefix }) => channel.startsWith(prefix)) ?? defaultChannelClass
  }
}
