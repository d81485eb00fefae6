/**
 * prom-client's series with a short way to an update. Theirs makes a string of the labels each time, which costs more than
 * all the rest; these find a cell by the labels' values and add to it. A registry reads them as it reads its own.
 */
import {
  Counter,
  type CounterConfiguration,
  Gauge,
  Histogram,
  type HistogramConfiguration,
} from 'prom-client'
import { type Cell, Cells, type Labels } from './cells.ts'

/** One set of label values of a counter, kept by who counts it often: nothing is looked up then. */
export class CounterCell implements Cell {
  readonly labels: Labels
  added = 0

  constructor(labels: Labels) {
    this.labels = labels
  }

  inc(value: number = 1): void {
    this.added += growth(value)
  }
}

/** A counter; prom-client's value gets what was added when it is read. */
export class QuickCounter extends Counter {
  readonly #cells: Cells<CounterCell>
  readonly #add: (labels: Labels, value: number) => void

  constructor(options: CounterConfiguration<string>) {
    super(options)
    // prom-client puts its own `inc` on the instance.
    const add = this.inc.bind(this)
    const cells = new Cells(options.labelNames ?? [], (labels) => {
      add(labels, 0)
      return new CounterCell(labels)
    })
    const inc = (first?: Labels | number, second?: number): void => {
      if (typeof first === 'object') cells.of(first).inc(second)
      else cells.of().inc(first)
    }
    Object.assign(this, { inc })
    this.#add = add
    this.#cells = cells
  }

  /** The cell of `labels`, with its own `inc`. */
  of(labels: Labels): CounterCell {
    return this.#cells.of(labels)
  }

  override get(): ReturnType<Counter['get']> {
    for (const cell of this.#cells.all()) {
      this.#add(cell.labels, cell.added)
      cell.added = 0
    }
    return super.get()
  }
}

function growth(value: number): number {
  if (value >= 0 && value < Infinity) return value
  throw new TypeError(`A counter cannot grow by ${value}`)
}

/** A gauge without labels; prom-client's value follows when it is read. */
export class QuickGauge extends Gauge {
  #value = 0

  override inc(by: object | number = 1): void {
    this.#value += finite(by)
  }

  override dec(by: object | number = 1): void {
    this.#value -= finite(by)
  }

  override set(value: object | number): void {
    this.#value = finite(value)
  }

  override get(): ReturnType<Gauge['get']> {
    super.set(this.#value)
    return super.get()
  }
}

function finite(value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new TypeError('A series takes finite numbers only')
}

/** A value that fell into a bucket, and its trace. As prom-client has it. */
interface Exemplar {
  readonly labelSet: Readonly<Record<string, string>>
  readonly value: number
  readonly timestamp: number
}

/** One set of label values of a histogram, as `CounterCell` is of a counter. */
export class HistogramCell implements Cell {
  readonly labels: Labels
  readonly #bounds: readonly number[]
  /** By bucket, not added up yet; the last is above all bounds. */
  readonly counts: number[]
  readonly exemplars: (Exemplar | null)[]
  sum = 0

  constructor(labels: Labels, bounds: readonly number[]) {
    this.labels = labels
    this.#bounds = bounds
    this.counts = [...bounds.map(() => 0), 0]
    this.exemplars = [...bounds.map(() => null), null]
  }

  /** `traceId`: of a trace that is kept. */
  add(given: number | undefined, traceId?: string): void {
    const value = finite(given)
    const bounds = this.#bounds
    let at = 0
    while (at < bounds.length && value > (bounds[at] ?? Infinity)) at += 1
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.sum += value
    if (traceId !== undefined)
      this.exemplars[at] = { labelSet: { trace_id: traceId }, value, timestamp: Date.now() / 1000 }
  }
}

/** Options of a `QuickHistogram`. */
export type QuickConfiguration = HistogramConfiguration<string> & { readonly buckets: number[] }

/** What a histogram's `of` gives. */
export interface BoundHistogram {
  readonly observe: (value: number) => void
}

/** A histogram. prom-client's own knows its name and bounds; what was observed is here alone. */
export class QuickHistogram extends Histogram {
  readonly #options: QuickConfiguration
  readonly #cells: Cells<HistogramCell>

  constructor(options: QuickConfiguration) {
    super(options)
    const { buckets, labelNames = [] } = options
    this.#options = options
    this.#cells = new Cells(labelNames, (labels) => new HistogramCell(labels, buckets))
    if (labelNames.length === 0) this.#cells.of()
    const observe = (first: Labels | number, second?: number): void => {
      if (typeof first === 'number') this.add(undefined, first)
      else this.add(first, second)
    }
    Object.assign(this, { observe })
  }

  protected cell(labels?: Labels): HistogramCell {
    return this.#cells.of(labels)
  }

  /** Checked before there is a cell: what is refused makes no series. */
  protected add(labels: Labels | undefined, value: number | undefined, traceId?: string): void {
    const checked = finite(value)
    this.cell(labels).add(checked, traceId)
  }

  of(labels: Labels): BoundHistogram {
    const cell = this.cell(labels)
    return { observe: (value) => cell.add(value) }
  }

  /** What prom-client renders, and what its `get` is made of. */
  getForPromString(): Promise<object> {
    const { name, help, aggregator = 'sum' } = this.#options
    const values = [...this.#cells.all()].flatMap((cell) => this.#samplesOf(cell))
    return Promise.resolve({ name, help, type: 'histogram', values, aggregator })
  }

  #samplesOf({ labels: sharedLabels, counts, exemplars, sum }: HistogramCell): readonly object[] {
    const { name, buckets: bounds } = this.#options
    let count = 0
    const inBuckets = counts.map((more, at) => {
      count += more
      const labels = { le: bounds[at] ?? '+Inf' }
      return { labels, sharedLabels, value: count, metricName: `${name}_bucket`, exemplar: exemplars[at] }
    })
    return [
      ...inBuckets,
      { labels: {}, sharedLabels, value: sum, metricName: `${name}_sum` },
      { labels: {}, sharedLabels, value: count, metricName: `${name}_count` },
    ]
  }
}
