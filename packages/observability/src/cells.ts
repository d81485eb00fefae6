/** Label values by name. One that is missing is no part of the series. */
export type Labels = Readonly<Partial<Record<string, string | number>>>

/** What is counted for one set of label values. */
export interface Cell {
  readonly labels: Labels
}

interface Place<C> {
  cell: C | undefined
  readonly next: Map<string | number | undefined, Place<C>>
}

const noLabels: Labels = {}

function newPlace<C>(): Place<C> {
  return { cell: undefined, next: new Map() }
}

/** One cell for each set of label values, found by the values in turn: no text is made of them but for a new one. */
export class Cells<C extends Cell> {
  readonly #names: readonly string[]
  readonly #make: (labels: Labels) => C
  /** By the text of the values: 200 and '200' are the same. */
  readonly #byText = new Map<string, C>()
  readonly #root = newPlace<C>()

  constructor(names: readonly string[], make: (labels: Labels) => C) {
    this.#names = names
    this.#make = make
  }

  /** Throws for a label that is not of the series. */
  of(labels: Labels = noLabels): C {
    let place = this.#root
    for (const name of this.#names) {
      const below = place.next.get(labels[name])
      if (below === undefined) return this.#add(labels)
      place = below
    }
    return place.cell ?? this.#add(labels)
  }

  all(): Iterable<C> {
    return this.#byText.values()
  }

  #add(labels: Labels): C {
    for (const name of Object.keys(labels))
      if (!this.#names.includes(name)) throw new TypeError(`${name} is not a label of this series`)
    const text = JSON.stringify(this.#names.map((name) => labels[name]?.toString()))
    let cell = this.#byText.get(text)
    if (cell === undefined) this.#byText.set(text, (cell = this.#make({ ...labels })))
    let place = this.#root
    for (const name of this.#names) {
      const below = place.next.get(labels[name]) ?? newPlace<C>()
      place.next.set(labels[name], below)
      place = below
    }
    place.cell = cell
    return cell
  }
}
