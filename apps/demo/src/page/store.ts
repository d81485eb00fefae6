import { useEffect, useState } from 'preact/hooks'

/** A value that tells when it changes. */
export interface Store<T> {
  get(): T
  /** Tells the listeners when the value has become another one. */
  update(change: (value: T) => T): void
  /** Gives the function that ends it. */
  listen(listener: () => void): () => void
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial
  const listeners = new Set<() => void>()
  return {
    get: () => value,
    update(change) {
      const next = change(value)
      if (Object.is(next, value)) return
      value = next
      for (const listener of listeners) listener()
    },
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** The store's value; draws the component anew when it changes. */
export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(() => store.get())
  useEffect(() => {
    const follow = (): void => setValue(() => store.get())
    follow()
    return store.listen(follow)
  }, [store])
  return value
}
