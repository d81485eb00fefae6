import type { Client, ClientEvents } from '@gw/client'

/** Records a client's events from now on, and waits for them without sleeping. */
export interface Watched<E> {
  readonly seen: E[]
  /** The first event, already seen or to come, that passes; events before it count as read. */
  next(test?: (event: E) => boolean): Promise<E>
}

export function watchClient<E extends keyof ClientEvents>(client: Client, name: E): Watched<ClientEvents[E]> {
  const seen: ClientEvents[E][] = []
  let read = 0
  let check = (): void => {}
  client.on(name, (event) => {
    seen.push(event)
    check()
  })
  return {
    seen,
    next: (test = () => true) =>
      new Promise((resolve) => {
        check = () => {
          const found = seen.findIndex((event, index) => index >= read && test(event))
          const event = seen[found]
          if (event === undefined) return
          read = found + 1
          check = () => {}
          resolve(event)
        }
        check()
      }),
  }
}
