import * as z from 'zod'

const tableSchema = z.object({ table_id: z.string().min(1) })

/** The few HTTP routes that a player needs. Each call has a deadline of 5 s and throws on any answer but 2xx. */
export interface GatewayApi {
  /** Opens the caller's account with chips unless it exists. */
  readonly openAccount: (userId: string, chips: number) => Promise<void>
  /** Answers the new table's id. */
  readonly createTable: (name: string, config: Readonly<Record<string, number>>) => Promise<string>
  readonly deleteTable: (tableId: string) => Promise<void>
}

/** Calls a gateway as the bearer of a token. */
export function createGatewayApi(baseUrl: string, token: string): GatewayApi {
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(new URL(path, baseUrl), {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(5000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 200)}`)
    return text === '' ? null : JSON.parse(text)
  }
  return {
    openAccount: async (userId, chips) => {
      await call('POST', `/api/accounts/${encodeURIComponent(userId)}`, { initialBalance: chips })
    },
    createTable: async (name, config) =>
      tableSchema.parse(await call('POST', '/api/tables', { name, config })).table_id,
    deleteTable: async (tableId) => {
      await call('DELETE', `/api/tables/${encodeURIComponent(tableId)}`)
    },
  }
}
