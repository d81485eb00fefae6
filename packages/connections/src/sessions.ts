/**
 * Who is here, from all of a user's connections on all instances.
 *
 *   open / setAway / close ─▶ connection store + presence store ─▶ change? ─▶ onChange, on one instance
 *   last one gone ─ grace ─▶ settled here, or by another instance if this one dies meanwhile
 *   instance dead ─ lease ─▶ its connections reaped by another one, as if each had been closed
 *
 * One file, because each of these ways ends in the same few steps: tell the store, take its answer, tell of the change.
 */
import { ChangeTeller } from './change-teller.ts'
import { checkNumbers, maxTimerMs } from './check-numbers.ts'
import type { ConnectionStore, LocatedConnection, StoredConnection } from './connection-store.ts'
import { ConnectionsError } from './connections-error.ts'
import type { PresenceChange, PresenceResult, PresenceStatus, PresenceStore } from './presence-store.ts'

/** All connections of one user. */
export interface Session {
  readonly userId: string
  readonly status: PresenceStatus
  readonly connections: readonly LocatedConnection[]
}

/** What the app may log or count. */
export type SessionsEvent = {
  readonly type: 'error'
  readonly operation: 'save' | 'delete' | 'presence' | 'settle' | 'listener'
  readonly error: unknown
}

export interface SessionsOptions {
  readonly connections: ConnectionStore
  readonly presence: PresenceStore
  /**
   * A user's status changed, once on one instance: publish it here. In order for each user. One that rejects is told again
   * by the sweep, unless another change came after it: make it idempotent by user and `atMs`.
   */
  readonly onChange?: (change: PresenceChange) => void | Promise<void>
  /** Connections of an instance that died, each once; presence is updated after the promise. See `ConnectionStore`. */
  readonly onReaped?: (connections: readonly LocatedConnection[]) => void | Promise<void>
  readonly onEvent?: (event: SessionsEvent) => void
  /** How often failed updates and changes are repeated and others' users are settled, in ms. Default 2000. */
  readonly sweepMs?: number
  /** Every user is written again within this, so that presence may have a TTL, in ms. Default 1 200 000. */
  readonly refreshMs?: number
}

/** Calls return at once; what the stores refuse is reported, remembered and repeated. */
export interface Sessions {
  /** A connection of this instance is authenticated. */
  open(connection: StoredConnection): void
  setAway(connectionId: string, isAway: boolean): void
  /** Nothing happens for one that isn't open. */
  close(connectionId: string): void
  /** Rejects with `unavailable`. */
  getSession(userId: string): Promise<Session>
  /** Rejects with `unavailable`. Unknown users are offline. */
  getStatus(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceStatus>>
  /** Users with a connection here. */
  readonly size: number
  /** Resolves when everything that was called has been tried. */
  flush(): Promise<void>
  /** Stops sweeping and cleaning up; what is under way is finished. The stores stay open. Idempotent. */
  stop(): Promise<void>
}

interface LocalConnection {
  readonly id: string
  /** Resolves when the connection store has been asked to keep it. */
  readonly saved: Promise<unknown>
  status: PresenceStatus
  /** What the store has heard of it. */
  told: PresenceStatus | undefined
  /** Counts what is told, so that the store knows a repetition. */
  turn: number
}

interface LocalUser {
  readonly userId: string
  readonly connections: Map<string, LocalConnection>
  /** As last heard from the store. */
  known: PresenceStatus
  working: Promise<void> | undefined
  refreshedAtMs: number
}

const maxRunning = 100
/** Users of a dead instance at a time. */
const maxLeaving = 8
/** Connections of a dead instance, looked for in one question to each instance. */
const maxLookedUp = 32

/** Takes over who is where; the stores are the caller's to close, after `stop()`. Throws `invalid` for times that cannot work. */
export function createSessions(options: SessionsOptions): Sessions {
  return new LocalSessions(options)
}

class LocalSessions implements Sessions {
  readonly #options: SessionsOptions
  readonly #users = new Map<string, LocalUser>()
  readonly #userOf = new Map<string, LocalUser>()
  readonly #tasks = new Set<Promise<unknown>>()
  readonly #settling = new Map<string, NodeJS.Timeout>()
  readonly #sweeper: NodeJS.Timeout
  readonly #stopListening: () => void
  readonly #refreshMs: number
  readonly #teller: ChangeTeller
  readonly #reaping = new Set<Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #repeatAtMs = Infinity
  #running = 0
  #sweeping: Promise<void> | undefined
  #stopped = false

  constructor(options: SessionsOptions) {
    const { sweepMs = 2000, refreshMs = 1_200_000, connections } = options
    checkNumbers({ refreshMs })
    checkNumbers({ sweepMs }, { most: maxTimerMs })
    this.#options = options
    this.#refreshMs = refreshMs
    this.#teller = new ChangeTeller({
      presence: options.presence,
      onChange: async (change) => this.#changed(change),
      onError: (error) => options.onEvent?.({ type: 'error', operation: 'listener', error }),
    })
    this.#sweeper = setInterval(() => void this.#sweep(), sweepMs).unref()
    this.#stopListening = connections.listen({
      onReaped: async ({ connections: lost }) => this.#takeReaped(lost),
      onRebuilt: () => this.#rebuilt(2 * sweepMs),
    })
  }

  get size(): number {
    return this.#users.size
  }

  open(connection: StoredConnection): void {
    const { connectionId, userId } = connection
    if (this.#stopped || this.#userOf.has(connectionId)) return
    const user = this.#users.get(userId) ?? createUser(userId)
    this.#users.set(userId, user)
    this.#userOf.set(connectionId, user)
    const saving = this.#options.connections.save(connection)
    const saved = saving.catch(() => {})
    user.connections.set(connectionId, {
      id: connectionId,
      saved,
      status: 'online',
      told: undefined,
      turn: 0,
    })
    this.#track('save', saving)
    void this.#work(user)
  }

  setAway(connectionId: string, isAway: boolean): void {
    const user = this.#userOf.get(connectionId)
    const connection = user?.connections.get(connectionId)
    if (user === undefined || connection === undefined) return
    setStatus(connection, isAway ? 'away' : 'online')
    void this.#work(user)
  }

  close(connectionId: string): void {
    const user = this.#userOf.get(connectionId)
    const connection = user?.connections.get(connectionId)
    if (user === undefined || connection === undefined) return
    this.#userOf.delete(connectionId)
    setStatus(connection, 'offline')
    // Presence first: if we die in between, whoever reaps the connection does it again.
    const gone = this.#work(user).then(async () => this.#options.connections.delete(connectionId))
    this.#track('delete', gone)
  }

  async getSession(userId: string): Promise<Session> {
    const [connections, statuses] = await Promise.all([
      this.#options.connections.getByUser(userId),
      this.#options.presence.getStatus([userId]),
    ])
    return { userId, status: statuses.get(userId) ?? 'offline', connections }
  }

  getStatus(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceStatus>> {
    return this.#options.presence.getStatus(userIds)
  }

  async flush(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearInterval(this.#sweeper)
    for (const timer of this.#settling.values()) clearTimeout(timer)
    this.#settling.clear()
    await this.#sweeping
    await this.flush()
    await Promise.all(this.#reaping)
    this.#stopListening()
  }

  #track(operation: SessionsEvent['operation'], task: Promise<unknown>): void {
    const tracked = task
      .catch((error: unknown) => this.#options.onEvent?.({ type: 'error', operation, error }))
      .finally(() => this.#tasks.delete(tracked))
    this.#tasks.add(tracked)
  }

  /** Tells the store what it has not heard of a user: one thing after another, so that changes come in order. */
  #work(user: LocalUser): Promise<void> {
    if (user.working === undefined) {
      user.working = this.#tellAll(user).finally(() => {
        user.working = undefined
      })
      this.#track('presence', user.working)
    }
    return user.working.catch(() => {})
  }

  async #tellAll(user: LocalUser): Promise<void> {
    for (let next = firstUntold(user); next !== undefined; next = firstUntold(user)) {
      // Kept first: if we die in between, there is something to reap, and nobody stays online for ever.
      await next.saved
      const { id: connectionId, status, turn } = next
      const { userId, known } = user
      const update = { userId, connectionId, status, known, id: `${connectionId}:${turn}` }
      const result = await this.#limited(async () => this.#options.presence.update(update))
      if (next.turn === turn) next.told = status
      if (next.told === 'offline') user.connections.delete(connectionId)
      await this.#take(userId, result)
      // What nobody was told is not known: should the store lose it, it is a change again.
      if (!this.#teller.isUntold(userId)) user.known = result.status
    }
    user.refreshedAtMs = performance.now()
    if (user.connections.size === 0 && this.#users.get(user.userId) === user) this.#users.delete(user.userId)
  }

  async #take(userId: string, { change, settleAfterMs }: PresenceResult): Promise<void> {
    if (change !== undefined) await this.#teller.tell(change)
    if (settleAfterMs === undefined || this.#stopped) return
    clearTimeout(this.#settling.get(userId))
    const timer = setTimeout(() => this.#track('settle', this.#settle(userId, false)), settleAfterMs + 1)
    this.#settling.set(userId, timer)
  }

  async #changed(change: PresenceChange): Promise<void> {
    await this.#options.onChange?.(change)
    const user = this.#users.get(change.userId)
    if (user !== undefined) user.known = change.status
  }

  async #settle(userId: string, isOverdue: boolean): Promise<void> {
    this.#settling.delete(userId)
    await this.#take(userId, await this.#options.presence.settle(userId, isOverdue))
  }

  /** A rebuild touches every user at once: some at a time. */
  async #limited<T>(call: () => Promise<T>): Promise<T> {
    if (this.#running >= maxRunning) await new Promise<void>((resolve) => void this.#waiting.push(resolve))
    this.#running++
    try {
      return await call()
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  /** `stop()` waits for it: the stores are closed then. What comes later is left for another instance. */
  #takeReaped(lost: readonly LocatedConnection[]): Promise<void> {
    if (this.#stopped) throw new ConnectionsError('closed', 'The sessions have stopped')
    const reaped = this.#reaped(lost)
    const done = reaped.catch(() => {}).finally(() => this.#reaping.delete(done))
    this.#reaping.add(done)
    return reaped
  }

  async #reaped(lost: readonly LocatedConnection[]): Promise<void> {
    await this.#options.onReaped?.(lost)
    for (let at = 0; at < lost.length; at += maxLookedUp)
      await this.#leaveAll(lost.slice(at, at + maxLookedUp))
  }

  async #leaveAll(lost: readonly LocatedConnection[]): Promise<void> {
    // Of an owner that was only stopped, and is back: it writes the connection before it tells presence.
    const found = await this.#options.connections.getMany(lost.map(({ connectionId }) => connectionId))
    const back = new Set(found.map(({ connectionId }) => connectionId))
    const users = new Map<string, string[]>()
    for (const { userId, connectionId } of lost)
      if (!back.has(connectionId)) users.set(userId, [...(users.get(userId) ?? []), connectionId])
    // A user's one after another, so that changes come in order.
    const waiting = users.entries()
    const leave = async (): Promise<void> => {
      for (const [userId, connectionIds] of waiting)
        for (const connectionId of connectionIds) await this.#leave(userId, connectionId)
    }
    await Promise.all(Array.from({ length: maxLeaving }, leave))
  }

  async #leave(userId: string, connectionId: string): Promise<void> {
    const update = { userId, connectionId, status: 'offline', id: `reaped:${connectionId}` } as const
    await this.#take(userId, await this.#options.presence.update(update))
  }

  /** What the connection store had lost, presence may have lost too. */
  #rebuilt(againAfterMs: number): void {
    if (this.#stopped) return
    for (const user of this.#users.values()) this.#repeat(user)
    // Whoever cleans up behind our last life may have looked for a connection just before it was back: have the last word.
    this.#repeatAtMs = performance.now() + againAfterMs
  }

  #repeat(user: LocalUser): void {
    for (const connection of user.connections.values()) {
      connection.told = undefined
      connection.turn++
    }
    void this.#work(user)
  }

  #sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepOnce()
      .catch((error: unknown) => this.#options.onEvent?.({ type: 'error', operation: 'settle', error }))
      .finally(() => {
        this.#sweeping = undefined
      })
    return this.#sweeping
  }

  async #sweepOnce(): Promise<void> {
    const nowMs = performance.now()
    const isRepeatDue = this.#repeatAtMs <= nowMs
    if (isRepeatDue) this.#repeatAtMs = Infinity
    for (const user of this.#users.values())
      if (isRepeatDue || user.refreshedAtMs < nowMs - this.#refreshMs) this.#repeat(user)
      else if (firstUntold(user) !== undefined) void this.#work(user)
    await this.#teller.tellAgain()
    for (const userId of await this.#options.presence.overdue()) await this.#settle(userId, true)
  }
}

function createUser(userId: string): LocalUser {
  return {
    userId,
    connections: new Map(),
    known: 'offline',
    working: undefined,
    refreshedAtMs: performance.now(),
  }
}

function setStatus(connection: LocalConnection, status: PresenceStatus): void {
  if (connection.status !== status) connection.turn++
  connection.status = status
}

function firstUntold({ connections }: LocalUser): LocalConnection | undefined {
  for (const connection of connections.values()) if (connection.told !== connection.status) return connection
  return undefined
}
