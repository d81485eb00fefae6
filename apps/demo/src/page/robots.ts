import type { PageTools } from './page-tools.ts'
import { type Robot, startRobot } from './robot.ts'

export interface RobotsOptions {
  readonly users: readonly string[]
  /** Of the gateway's socket. */
  readonly url: string
}

/** The robots that this page has seated. */
export interface Robots {
  /** Seats a demo user that nobody is: one who is not online, if there is one. */
  readonly add: () => Promise<void>
  readonly removeAll: () => Promise<void>
}

export function createRobots(
  { user, state, set, notify, guarded }: PageTools,
  options: RobotsOptions,
): Robots {
  const { users, url } = options
  const robots = new Map<string, Robot>()
  /** On their way to the table. */
  const starting = new Set<string>()

  function pick(): string | undefined {
    const { table, presence } = state.get()
    const seated = new Set(table?.state?.seats.map(({ userId }) => userId))
    const isTaken = (name: string): boolean => robots.has(name) || starting.has(name) || seated.has(name)
    const free = users.filter((name) => name !== user && !isTaken(name))
    return free.find((name) => presence[name] !== 'online') ?? free[0]
  }
  return {
    add: async () =>
      guarded(async () => {
        const tableId = state.get().table?.tableId
        const name = pick()
        if (tableId === undefined) return
        if (name === undefined) throw new Error('All demo users are at the table.')
        const onProblem = (text: string): void => notify(text, 'error')
        starting.add(name)
        try {
          robots.set(name, await startRobot({ user: name, tableId, url, onProblem }))
        } finally {
          starting.delete(name)
        }
        set({ robots: [...robots.keys()] })
      }),
    removeAll: async () =>
      guarded(async () => {
        const leaving = [...robots.values()]
        robots.clear()
        set({ robots: [] })
        await Promise.all(leaving.map(async (robot) => robot.stop()))
      }),
  }
}
