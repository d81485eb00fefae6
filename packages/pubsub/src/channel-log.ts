import type { ChannelMessage, Position, ReadResult } from './broker.ts'

/** What of a log is asked for: the `limit` messages after `since`, or, without it, the latest ones. */
export interface LogRequest {
  readonly since?: Position
  readonly limit: number
}

/** A page of a log; `epoch`, `seq`, `publishedAtMs` are its head. */
export interface LogPage extends Position {
  readonly publishedAtMs: number
  /** When the message at `since` was published, if it is kept: two different times mean two different messages. */
  readonly sinceAtMs?: number
  /**
   * After `since` in order of seq; where the messages right after it are gone, from the oldest that is kept. None when
   * `since` is of another epoch or beyond the head.
   */
  readonly messages: readonly ChannelMessage[]
}

/** Where the truth about a channel is kept. */
export interface ChannelLog {
  read(channel: string, request: LogRequest): Promise<LogPage>
  /** The heads of those channels that are elsewhere now. Asked for many at once: thousands may be idle. */
  findMoved(heads: ReadonlyMap<string, Position>): Promise<ReadonlyMap<string, Position>>
  /** Begins a new epoch unless `epoch` is no longer the current one. */
  rotate(channel: string, epoch: string): Promise<void>
}

/** Where live messages come from. They reach the hub by its `receive`. */
export interface Upstream {
  /** Resolves when messages published from now on will arrive. */
  subscribe(channel: string): Promise<void>
  unsubscribe(channel: string): void
}

/** A page as callers of `read` see it: with the answer whether it follows `since` without a hole. */
export function toReadResult(page: LogPage, since: Position | undefined): ReadResult {
  const { epoch, seq, messages } = page
  const first = messages[0]?.seq ?? seq + 1
  const complete =
    since === undefined || (since.epoch === epoch && since.seq <= seq && first <= since.seq + 1)
  return { epoch, seq, messages, complete }
}
