import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { act, leaveHand, type Move, timeoutMove } from '../engine/act.ts'
import { freshDeck, type RandomInt, shuffle } from '../engine/cards.ts'
import { type ActionRefusal, type ActionType, clockwiseFrom, type Hand } from '../engine/hand.ts'
import { startHand } from '../engine/start-hand.ts'
import type { AuditEvent } from './audit-trail.ts'
import type { BuyInRefusal, Chips } from './chips.ts'
import { handEvents } from './hand-events.ts'
import { emptySeat, playerOf, type Seat, seatOf, type TableState } from './table-state.ts'

export type JoinRefusal = 'ALREADY_SEATED' | 'SEAT_NOT_AVAILABLE' | 'TABLE_LOST' | BuyInRefusal
export type MoveRefusal = ActionRefusal | 'NO_HAND_IN_PROGRESS' | 'PLAYER_NOT_AT_TABLE'

export interface TableOptions {
  readonly clock: Clock
  readonly randomInt: RandomInt
  readonly chips: Chips
  /** From the moment when two can play to the first hand, and from one hand to the next, in ms. */
  readonly firstHandDelayMs: number
  readonly nextHandDelayMs: number
  /** Every one that comes is a broadcast to all: a crowd costs its square. */
  readonly maxSpectators: number
  readonly record: (event: AuditEvent) => void
  /** Called with every new version of the state, in order. */
  readonly onChange: (state: TableState) => void
}

const maxMuted = 1000
const cashOutWaitMs = 1000

/** One table's life: its seats, the hands that start by themselves, the turn timer. All rules are the engine's. */
export class Table {
  readonly #options: TableOptions
  readonly #muted = new Set<string>()
  #state: TableState
  #cancelStart: (() => void) | null = null
  #cancelTurn: (() => void) | null = null
  #turnKey = ''
  #isClosed = false

  constructor(state: TableState, options: TableOptions) {
    this.#state = state
    this.#options = options
  }

  get state(): TableState {
    return this.#state
  }

  /** Takes a seat with chips from the account; null when seated. `key` makes the buy-in safe to retry. */
  async join(wish: {
    readonly userId: string
    readonly seatId: number
    readonly buyIn: number
    readonly key: string
  }): Promise<JoinRefusal | null> {
    const { userId, seatId, buyIn } = wish
    if (seatOf(this.#state, userId)) return 'ALREADY_SEATED'
    const isFree = this.#state.seats.some((seat) => seat.seatId === seatId && seat.status === 'EMPTY')
    if (!isFree) return 'SEAT_NOT_AVAILABLE'
    this.#change({ seats: this.#withSeat(seatId, { userId, status: 'RESERVED' }) })
    const transfer = { userId, tableId: this.#state.tableId, amount: buyIn }
    const refusal = await this.#options.chips.buyIn(transfer, wish.key)
    if (this.#isClosed) {
      if (!refusal) await this.#options.chips.cashOut(transfer)
      return 'TABLE_LOST'
    }
    if (refusal) {
      this.#change({ seats: this.#withSeat(seatId, emptySeat(seatId)) })
      return refusal
    }
    this.#change({ seats: this.#withSeat(seatId, { status: 'SEATED', stack: buyIn }) })
    this.#record({ type: 'PLAYER_JOINED', userId, seatId, payload: { stack: buyIn } })
    this.#scheduleHand(this.#options.firstHandDelayMs)
    return null
  }

  /**
   * Gives the seat up and the chips back. An all-in player is out when the hand ends. Waits for Balance for a second at
   * most; the chips are on their way in any case.
   */
  async leave(userId: string, reason: 'LEFT' | 'KICKED'): Promise<'PLAYER_NOT_AT_TABLE' | null> {
    const { hand } = this.#state
    const seat = seatOf(this.#state, userId)
    if (!seat || seat.status !== 'SEATED') return 'PLAYER_NOT_AT_TABLE'
    const isPlaying = hand !== null && playerOf(this.#state, seat) !== undefined
    const left = isPlaying ? leaveHand(hand, seat.seatId, this.#now()) : { hand, cashOut: seat.stack }
    if (!left) {
      this.#change({ seats: this.#withSeat(seat.seatId, { isLeaving: true }) })
      return null
    }
    const cashOut = this.#vacate(seat, left.cashOut, reason)
    const seats = this.#withSeat(seat.seatId, emptySeat(seat.seatId))
    if (left.hand && isPlaying) this.#step(left.hand, seats)
    else this.#change({ seats })
    await Promise.race([
      cashOut,
      new Promise<void>((resolve) => this.#options.clock.after(cashOutWaitMs, resolve)),
    ])
    return null
  }

  /** A seated player's move; null when it was made. */
  move(userId: string, type: ActionType, amount: number | undefined): MoveRefusal | null {
    const { hand } = this.#state
    if (!hand) return 'NO_HAND_IN_PROGRESS'
    const seat = seatOf(this.#state, userId)
    if (!seat) return 'PLAYER_NOT_AT_TABLE'
    if (!playerOf(this.#state, seat)) return 'SEAT_INACTIVE'
    return this.#play({ seatId: seat.seatId, type, amount, at: this.#now() })
  }

  /** False when the stands are full. Joining twice is fine. */
  addSpectator(userId: string): boolean {
    const { spectators } = this.#state
    if (spectators.has(userId)) return true
    if (spectators.size >= this.#options.maxSpectators) return false
    this.#change({ spectators: new Map(spectators).set(userId, this.#now()) })
    return true
  }

  /** Leaving twice is fine. */
  removeSpectator(userId: string): void {
    const spectators = new Map(this.#state.spectators)
    if (spectators.delete(userId)) this.#change({ spectators })
  }

  isMuted(userId: string): boolean {
    return this.#muted.has(userId)
  }

  /** The oldest of more than 1000 mutes is forgotten. */
  setMuted(userId: string, isMuted: boolean): void {
    this.#muted.delete(userId)
    if (isMuted) this.#muted.add(userId)
    const [oldest] = this.#muted
    if (oldest !== undefined && this.#muted.size > maxMuted) this.#muted.delete(oldest)
  }

  /** Ends the table: no timers, a running hand is called off, everybody gets back what they had before it. */
  close(): void {
    this.stop()
    const { hand, seats, tableId } = this.#state
    const isRunning = hand !== null && hand.endedAt === null
    for (const seat of seats) {
      if (seat.userId === null || (isRunning && playerOf(this.#state, seat))) continue
      void this.#options.chips.cashOut({ userId: seat.userId, tableId, amount: seat.stack })
    }
    for (const { userId, stack, committed } of isRunning ? hand.players : [])
      void this.#options.chips.cashOut({ userId, tableId, amount: stack + committed })
    this.#record({ type: 'TABLE_CLOSED', payload: {} })
  }

  /** Stops the timers only. */
  stop(): void {
    this.#isClosed = true
    this.#cancelStart?.()
    this.#cancelTurn?.()
  }

  #play(move: Move): ActionRefusal | null {
    const { hand } = this.#state
    if (!hand) return 'HAND_COMPLETE'
    const result = act(hand, move)
    if (!result.ok) return result.error
    this.#step(result.hand, this.#withSeat(move.seatId, { lastActionAt: move.at }))
    return null
  }

  /** Every change of a hand comes through here: events, the new snapshot, then the next turn's timer or the end. */
  #step(next: Hand, seats: readonly Seat[]): void {
    for (const event of handEvents(this.#state.hand, next, this.#state)) this.#options.record(event)
    if (next.endedAt === null) {
      this.#change({ hand: next, seats })
      return this.#armTurnTimer(next)
    }
    this.#cancelTurn?.()
    this.#turnKey = ''
    const paid = seats.map((seat) => {
      const player = playerOf({ ...this.#state, hand: next }, seat)
      return player ? { ...seat, stack: player.stack } : seat
    })
    this.#change({ hand: next, seats: paid })
    for (const seat of paid) if (seat.isLeaving) void this.#vacate(seat, seat.stack, 'LEFT')
    this.#change({ hand: null, seats: paid.map((seat) => (seat.isLeaving ? emptySeat(seat.seatId) : seat)) })
    this.#scheduleHand(this.#options.nextHandDelayMs)
  }

  #armTurnTimer(hand: Hand): void {
    // Nobody gets two turns in a row on one street, so this names a turn; a bystander who leaves doesn't prolong it.
    const key = `${hand.handId}:${hand.street}:${hand.turn}`
    if (key === this.#turnKey) return
    this.#turnKey = key
    this.#cancelTurn?.()
    const { turnTimerSeconds } = this.#state.config
    this.#cancelTurn = this.#options.clock.after(turnTimerSeconds * 1000, () => {
      if (this.#state.hand) this.#play(timeoutMove(this.#state.hand, this.#now()))
    })
    const userId = this.#state.seats.find((seat) => seat.seatId === hand.turn)?.userId
    const who = typeof userId === 'string' ? { userId } : {}
    this.#record({
      type: 'TURN_STARTED',
      handId: hand.handId,
      seatId: hand.turn,
      ...who,
      payload: { turnTimerSeconds },
    })
  }

  #scheduleHand(delayMs: number): void {
    if (this.#isClosed || this.#cancelStart || this.#state.hand || this.#ready().length < 2) return
    this.#cancelStart = this.#options.clock.after(delayMs, () => {
      this.#cancelStart = null
      this.#startHand()
    })
  }

  #startHand(): void {
    const seats = this.#ready()
    const [button] = clockwiseFrom(seats, this.#state.button)
    if (this.#isClosed || !button || seats.length < 2) return
    const { smallBlind, bigBlind, ante } = this.#state.config
    const hand = startHand({
      handId: randomUUID(),
      seats: seats.map(({ seatId, userId, stack }) => ({ seatId, userId: userId ?? '', stack })),
      button: button.seatId,
      smallBlind,
      bigBlind,
      ante,
      deck: shuffle(freshDeck(), this.#options.randomInt),
      at: this.#now(),
    })
    this.#state = { ...this.#state, button: button.seatId }
    this.#step(hand, this.#state.seats)
  }

  #ready(): Seat[] {
    return this.#state.seats.filter((seat) => seat.status === 'SEATED' && seat.stack > 0)
  }

  #vacate(seat: Seat, amount: number, reason: string): Promise<void> {
    const userId = seat.userId ?? ''
    this.#record({ type: 'PLAYER_LEFT', userId, seatId: seat.seatId, payload: { reason, stack: amount } })
    return this.#options.chips.cashOut({ userId, tableId: this.#state.tableId, amount })
  }

  #withSeat(seatId: number, change: Partial<Seat>): Seat[] {
    return this.#state.seats.map((seat) => (seat.seatId === seatId ? { ...seat, ...change } : seat))
  }

  #change(change: Partial<TableState>): void {
    this.#state = { ...this.#state, ...change, version: this.#state.version + 1, updatedAt: this.#now() }
    this.#options.onChange(this.#state)
  }

  #record(event: Omit<AuditEvent, 'tableId'>): void {
    this.#options.record({ ...event, tableId: this.#state.tableId })
  }

  #now(): number {
    return this.#options.clock.now()
  }
}
