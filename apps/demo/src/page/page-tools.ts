import type { Client } from '@gw/client'
import type { PageState } from './page-state.ts'
import type { Store } from './store.ts'

/** What the parts of a session share. */
export interface PageTools {
  readonly user: string
  readonly client: Client
  readonly state: Store<PageState>
  readonly set: (change: Partial<PageState>) => void
  /** Runs once, unless the session ends before. */
  readonly later: (ms: number, run: () => void) => void
  /** Shows a short word for some seconds. */
  readonly notify: (text: string, tone?: 'info' | 'error') => void
  /** Shows what it throws: nothing that a button starts fails without a word. */
  readonly guarded: (run: () => Promise<void>) => Promise<void>
}

export interface PageToolsOptions {
  readonly user: string
  readonly client: Client
  readonly state: Store<PageState>
}

const noticeMs = 6000

export function createPageTools({
  user,
  client,
  state,
}: PageToolsOptions): PageTools & { readonly stop: () => void } {
  const timers = new Set<ReturnType<typeof setTimeout>>()
  let lastId = 0

  function later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer)
      run()
    }, ms)
    timers.add(timer)
  }
  function notify(text: string, tone: 'info' | 'error' = 'info'): void {
    const id = ++lastId
    state.update((page) => ({ ...page, notices: [...page.notices.slice(-3), { id, tone, text }] }))
    later(noticeMs, () =>
      state.update((page) => ({ ...page, notices: page.notices.filter((notice) => notice.id !== id) })),
    )
  }
  return {
    user,
    client,
    state,
    set: (change) => state.update((page) => ({ ...page, ...change })),
    later,
    notify,
    async guarded(run) {
      try {
        await run()
      } catch (error) {
        notify(error instanceof Error ? error.message : String(error), 'error')
      }
    },
    stop: () => {
      for (const timer of timers) clearTimeout(timer)
    },
  }
}
