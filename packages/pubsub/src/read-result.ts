import type { Position, ReadResult } from './broker.ts'
import type { LogPage } from './channel-log.ts'

/** A page as callers of `read` see it: with the answer whether it follows `since` without a hole. */
export function toReadResult(page: LogPage, since: Position | undefined): ReadResult {
  const { epoch, seq, messages } = page
  const first = messages[0]?.seq ?? seq + 1
  const complete =
    since === undefined || (since.epoch === epoch && since.seq <= seq && first <= since.seq + 1)
  return { epoch, seq, messages, complete }
}
