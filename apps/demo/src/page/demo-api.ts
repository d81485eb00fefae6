import type { Card } from '@gw/protocol'
import { parseCard } from './card-names.ts'

/** The HTTP calls of the page: to the demo's own little server under `/demo`, and to the gateway's API as a user. */
const timeoutMs = 10_000

interface Call {
  readonly method?: string
  readonly body?: unknown
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** The parsed answer; throws the server's word for it when the status is not 2xx. */
async function call(path: string, { method = 'GET', body, token, headers }: Call = {}): Promise<unknown> {
  const response = await fetch(path, {
    method,
    signal: AbortSignal.timeout(timeoutMs),
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const answer: unknown = text === '' ? undefined : parse(text)
  if (response.ok) return answer
  const word = field(answer, 'message') ?? field(answer, 'error')
  throw new Error(typeof word === 'string' ? word : `${path} answered ${response.status}`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** Who one can be. */
export async function fetchUsers(): Promise<readonly string[]> {
  return list(field(await call('/demo/users'), 'users')).filter((user) => typeof user === 'string')
}

/** A fresh token, good for a quarter of an hour. */
export async function fetchToken(user: string): Promise<string> {
  const token = field(await call('/demo/token', { method: 'POST', body: { user } }), 'token')
  if (typeof token !== 'string') throw new Error('No token came')
  return token
}

/** Troubles that the demo's backends can be given. */
export type Trouble = 'slow' | 'failing' | 'hanging'

export async function makeTrouble(trouble: Trouble): Promise<void> {
  await call('/demo/trouble', { method: 'POST', body: { trouble } })
}

export async function endTrouble(): Promise<void> {
  await call('/demo/trouble', { method: 'DELETE' })
}

/** Chips in the user's account, which is opened with a thousand when there is none yet. */
export async function fetchBalance(user: string, token: string): Promise<number> {
  const path = `/api/accounts/${encodeURIComponent(user)}`
  return Number(field(await call(path, { method: 'POST', token, body: { initialBalance: 1000 } }), 'balance'))
}

/** Gives the user's account chips, opening it when needed. `key` makes a retry count once. */
export async function depositChips(user: string, token: string, key: string): Promise<void> {
  await call(`/api/accounts/${encodeURIComponent(user)}/deposit`, {
    method: 'POST',
    token,
    headers: { 'idempotency-key': key },
    body: { amount: 1000, source: 'FREEROLL' },
  })
}

/** Opens a table for six; gives its id. */
export async function createTable(name: string, token: string): Promise<string> {
  const config = { smallBlind: 5, bigBlind: 10, startingStack: 500, maxPlayers: 6, turnTimerSeconds: 45 }
  const id = field(await call('/api/tables', { method: 'POST', token, body: { name, config } }), 'table_id')
  if (typeof id !== 'string') throw new Error('No table came')
  return id
}

/** The cards that were shown at the end of a hand, by seat; one's own are always among them. */
export async function fetchShownCards(
  handId: string,
  token: string,
): Promise<ReadonlyMap<number, readonly Card[]>> {
  const record = await call(`/api/audit/hands/${encodeURIComponent(handId)}`, { token })
  const shown = list(field(record, 'participants')).map((participant) => {
    const cards = list(field(participant, 'hole_cards')).map((name) => parseCard(String(name)))
    return [Number(field(participant, 'seat_id')), cards.filter((card) => card !== undefined)] as const
  })
  return new Map(shown.filter(([, cards]) => cards.length === 2))
}
