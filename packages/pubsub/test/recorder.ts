import type { ChannelMessage, Reset, Subscriber } from '@gw/pubsub'

type Item = ChannelMessage | Reset

/** A subscriber that remembers everything and can be waited for. */
export class Recorder implements Subscriber {
  readonly items: Item[] = []
  readonly #waiters = new Set<() => void>()

  get messages(): ChannelMessage[] {
    return this.items.filter((item) => 'data' in item)
  }

  get resets(): Reset[] {
    return this.items.filter((item) => 'reason' in item)
  }

  get texts(): string[] {
    return this.messages.map(({ data }) => data.toString())
  }

  onMessage(message: ChannelMessage): void {
    this.#add(message)
  }

  onReset(reset: Reset): void {
    this.#add(reset)
  }

  /** Waits until it holds, checked after each delivery. */
  async until(holds: (recorder: this) => boolean, timeoutMs = 10_000): Promise<void> {
    if (holds(this)) return
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(look)
        const tail = this.items
          .slice(-3)
          .map((item) => ('data' in item ? `${item.seq}` : `reset ${item.reason}`))
        reject(new Error(`Not within ${timeoutMs} ms; ${this.items.length} items, last: ${tail.join(', ')}`))
      }, timeoutMs)
      const look = (): void => {
        if (!holds(this)) return
        clearTimeout(timer)
        this.#waiters.delete(look)
        resolve()
      }
      this.#waiters.add(look)
    })
  }

  /** Waits for so many messages. */
  async count(messages: number): Promise<void> {
    await this.until((recorder) => recorder.messages.length >= messages)
  }

  #add(item: Item): void {
    this.items.push(item)
    for (const look of this.#waiters) look()
  }
}
