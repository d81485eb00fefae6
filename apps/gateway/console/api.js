/** The admin API as the console uses it. The token lives in this tab's session alone. */

const tokenKey = 'gateway-admin-token'
const operatorKey = 'gateway-admin-operator'

export const hasToken = () => sessionStorage.getItem(tokenKey) !== null

export function remember(token, operator) {
  sessionStorage.setItem(tokenKey, token)
  sessionStorage.setItem(operatorKey, operator)
}

export function forget() {
  sessionStorage.removeItem(tokenKey)
}

/** What the API refused, with its code; `unreachable` when it gave no answer. */
export class ApiError extends Error {
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

function headers() {
  const operator = sessionStorage.getItem(operatorKey)
  return {
    authorization: `Bearer ${sessionStorage.getItem(tokenKey)}`,
    ...(operator ? { 'x-operator': operator } : {}),
  }
}

async function request(path, options) {
  let response
  try {
    response = await fetch(`api${path}`, { ...options, headers: { ...headers(), ...options.headers } })
  } catch (error) {
    if (options.signal?.aborted && error.name === 'AbortError') throw error
    throw new ApiError('unreachable', 'The gateway does not answer')
  }
  if (response.ok) return response
  const body = await response.json().catch(() => ({}))
  throw new ApiError(body.code ?? String(response.status), body.message ?? response.statusText)
}

const withDeadline = () => AbortSignal.timeout(10_000)

export const get = async (path) => (await request(path, { signal: withDeadline() })).json()

export async function send(method, path, body) {
  const json =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  return (await request(path, { method, signal: withDeadline(), ...json })).json()
}

/** A query string of what is set. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== '')
  return set.length === 0 ? '' : `?${new URLSearchParams(set)}`
}

/** Calls `onEvent(name, data)` for each Server-Sent Event until the stream ends or `signal` aborts. */
export async function follow(path, { signal, onEvent }) {
  const response = await request(path, { signal })
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let waiting = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    waiting += value
    const blocks = waiting.split('\n\n')
    waiting = blocks.pop()
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1]
      const data = /^data: (.*)$/m.exec(block)?.[1]
      if (name !== undefined && data !== undefined) onEvent(name, JSON.parse(data))
    }
  }
}
