import { checkNumbers } from './check-numbers.ts'
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
      const least = kind === 'ephemeral' ? 0 : 1
      checkNumbers({ [`Class '${prefix}': historySize`]: historySize }, { least, isWhole: true })
      const most = Number.MAX_SAFE_INTEGER
      checkNumbers({ [`Class '${prefix}': historyMaxAgeMs`]: historyMaxAgeMs }, { least, most })
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
