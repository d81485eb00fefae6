/** Who may come to a table: one rule, asked wherever a socket begins to see, hear or play, and again on each resume. */
import type { Identity } from '@gw/auth'
import { GatewayError } from '../errors.ts'

/** `watch`: see the table's state; `chat`: hear, read and write there; `play`: take a seat. */
export type TablePurpose = 'watch' | 'chat' | 'play'

/** A rule of the operator's. A rejection is no answer: the client is told to ask again. */
export type TableRule = (entry: {
  readonly tableId: string
  readonly identity: Identity
  readonly purpose: TablePurpose
}) => boolean | Promise<boolean>

/** Resolves when the user may; rejects with `forbidden`, or `unavailable` when the rule gave no answer in time. */
export type TableAccess = (tableId: string, identity: Identity, purpose: TablePurpose) => Promise<void>

export interface TableAccessOptions {
  /** Default: any authenticated user. */
  readonly rule?: TableRule | undefined
  /** For the rule's answer. Default 2000. */
  readonly timeoutMs?: number
}

export function createTableAccess({ rule = () => true, timeoutMs = 2000 }: TableAccessOptions): TableAccess {
  async function ask(entry: Parameters<TableRule>[0]): Promise<boolean> {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error('The rule gave no answer')), timeoutMs)
    try {
      return await Promise.race([Promise.resolve(rule(entry)), late])
    } catch (error) {
      throw new GatewayError('unavailable', undefined, { cause: error, retryAfterMs: 1000 })
    } finally {
      clearTimeout(timer)
    }
  }

  return async (tableId, identity, purpose) => {
    if (!(await ask({ tableId, identity, purpose }))) throw new GatewayError('forbidden')
  }
}
