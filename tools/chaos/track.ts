/** A place in a channel. */
export interface Place {
  readonly epoch: string
  readonly seq: number
}

/** What one subscriber saw of a channel, in order. `id` is the message's number, `publisher-index`. */
export type Sight =
  | { readonly kind: 'joined'; readonly place: Place }
  | ({ readonly kind: 'message'; readonly id: string } & Place)
  /** The server said that everything missed follows. */
  | { readonly kind: 'recovered'; readonly place: Place }
  /** The server said that messages may be missing here, and perhaps where it goes on. */
  | { readonly kind: 'reset'; readonly reason: string; readonly place?: Place }

/** What a subscriber saw; the verdict reads it at the end. */
export class Track {
  readonly name: string
  readonly sights: Sight[] = []
  #last: Place | undefined

  constructor(name: string) {
    this.name = name
  }

  /** The last place handled, as a client would resume from it. */
  get last(): Place | undefined {
    return this.#last
  }

  add(sight: Sight): void {
    this.sights.push(sight)
    if (sight.kind === 'message') this.#last = { epoch: sight.epoch, seq: sight.seq }
    else if (sight.place) this.#last = sight.place
  }
}
