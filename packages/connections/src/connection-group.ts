import { type Connection, holdSlot, releaseSlot } from './connection.ts'
import type { Frame } from './frame.ts'
import type { SendOptions, SendResult } from './outbound-queue.ts'
import { turn } from './write-turn.ts'

/** What became of a frame, for how many connections. */
export type SendCounts = Readonly<Record<SendResult, number>>

/** A connection's place in a group. */
export interface GroupMember {
  /** Idempotent; gets nothing after it. A closed connection must leave too. */
  leave(): void
}

/** Connections that get the same frames: to all that keep up, a frame costs a look into an array each. */
export interface ConnectionGroup {
  readonly size: number
  /** Hears from the next `send` on. Throws a TypeError for what `createConnection` didn't make. */
  add(connection: Connection): GroupMember
  /** As `Connection.send` to each. */
  send(frame: Frame, options?: SendOptions): SendCounts
}

export function createConnectionGroup(): ConnectionGroup {
  return new DenseGroup()
}

class DenseGroup implements ConnectionGroup {
  // Side by side: the slot and the member at one place belong together.
  readonly #slots: number[] = []
  readonly #members: Member[] = []

  get size(): number {
    return this.#slots.length
  }

  add(connection: Connection): GroupMember {
    const member = new Member(connection, this)
    // Held as long as it is here: a slot that came to another connection would bring it these frames.
    const slot = holdSlot(connection)
    if (slot === undefined) return member
    member.place = this.#slots.push(slot) - 1
    this.#members.push(member)
    return member
  }

  send(frame: Frame, options?: SendOptions): SendCounts {
    const places = turn.addToAll(this.#slots, frame)
    const counts = {
      sent: this.#slots.length - places.length,
      queued: 0,
      conflated: 0,
      dropped: 0,
      closed: 0,
    }
    // All are named before one is sent to: that may end a connection, which leaves, and the last one takes its place.
    const others = places.map((place) => this.#members[place])
    for (const member of others)
      if (member !== undefined && member.place !== -1) counts[member.connection.send(frame, options)]++
    return counts
  }

  remove(place: number): void {
    const [slot, member] = [this.#slots.pop(), this.#members.pop()]
    if (slot === undefined || member === undefined || place === this.#slots.length) return
    this.#slots[place] = slot
    this.#members[place] = member
    member.place = place
  }
}

class Member implements GroupMember {
  /** -1: it has left. */
  place = -1
  readonly connection: Connection
  readonly #group: DenseGroup

  constructor(connection: Connection, group: DenseGroup) {
    this.connection = connection
    this.#group = group
  }

  leave(): void {
    if (this.place === -1) return
    this.#group.remove(this.place)
    this.place = -1
    releaseSlot(this.connection)
  }
}
