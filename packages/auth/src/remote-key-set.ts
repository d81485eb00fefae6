/**
 *          find(kid)                      background, every refreshMs +-20 %
 *             |                                      |
 *   known? -- yes -> key                             |
 *             no                                     v
 *   absent lately? or cooldown? -- yes -> unknown  fetch (one at a time) -> ok: new set, previous kept one round
 *             no: claim the cooldown, then ----------^                  \-> failed: old set stays, up to maxStaleMs
 *
 * The cooldown is claimed before the fetch and kept when it fails: random key ids, or a provider that is down, cost at
 * most one fetch per cooldown, and a key that was just rotated in costs one.
 */
import type { AuthEvent, KeyFetchFailure } from './auth-event.ts'
import { AuthError } from './auth-error.ts'
import { fetchJson } from './fetch-json.ts'
import type { KeyAnswer, KeyLookup } from './key-ring.ts'
import { type KeySetDocument, noKeyId } from './key-set-document.ts'
import type { JsonObject } from './strict-json.ts'
import type { VerificationKey } from './verification-key.ts'

export interface RemoteKeySetOptions {
  readonly url: URL
  readonly parse: (document: JsonObject) => KeySetDocument | KeyFetchFailure
  readonly lazy: boolean
  readonly timeoutMs: number
  readonly refreshMs: number
  readonly cooldownMs: number
  readonly maxStaleMs: number
  readonly fetch: typeof globalThis.fetch
  readonly now: () => number
  readonly onEvent: (event: AuthEvent) => void
  /** A key went out of use: whatever was verified with it must be verified again. */
  readonly onKeysRetired: () => void
}

const maxBytes = 256 * 1024
const absentForMs = 60_000
const maxAbsent = 1000

/** The keys behind one URL, fetched whole, kept fresh in the background, served stale while the provider is down. */
export class RemoteKeySet implements KeyLookup {
  readonly #options: RemoteKeySetOptions
  readonly #source: string
  readonly #closing = new AbortController()
  readonly #absent = new Map<string, number>()
  #keys: ReadonlyMap<string, VerificationKey> = new Map()
  #previous: ReadonlyMap<string, VerificationKey> = new Map()
  #loadedAtMs: number | undefined
  #failures = 0
  #nextAskedFetchMs = -Infinity
  #fetching: Promise<boolean> | undefined
  #timer: NodeJS.Timeout | undefined
  #waiting: { resolve: () => void; reject: (error: AuthError) => void }[] = []

  constructor(options: RemoteKeySetOptions) {
    this.#options = options
    this.#source = options.url.origin + options.url.pathname
    if (!options.lazy) void this.#refresh()
  }

  find(keyId: string | undefined): KeyAnswer | Promise<KeyAnswer> {
    const id = keyId ?? noKeyId
    const usable = this.#isUsable()
    const key = usable ? this.#lookUp(id) : undefined
    if (key !== undefined) return key
    const nowMs = this.#options.now()
    if (usable && (this.#absent.get(id) ?? 0) > nowMs) return 'key_unknown'
    const mayFetch = this.#fetching !== undefined || nowMs >= this.#nextAskedFetchMs
    if (!mayFetch || this.#closing.signal.aborted) return usable ? 'key_unknown' : 'keys_unavailable'
    return this.#findAfterFetch(id)
  }

  renew(): Promise<KeyAnswer> | undefined {
    const mayFetch = this.#fetching !== undefined || this.#options.now() >= this.#nextAskedFetchMs
    return mayFetch && !this.#closing.signal.aborted ? this.#findAfterFetch(noKeyId) : undefined
  }

  isReady(): boolean {
    return this.#options.lazy || this.#isUsable()
  }

  whenReady(): Promise<void> {
    if (this.isReady()) return Promise.resolve()
    if (this.#closing.signal.aborted) return Promise.reject(closedError())
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#closing.abort()
    for (const { reject } of this.#waiting.splice(0)) reject(closedError())
  }

  async #findAfterFetch(id: string): Promise<KeyAnswer> {
    const fetched = await (this.#fetching ?? this.#refresh())
    if (!this.#isUsable()) return 'keys_unavailable'
    const key = this.#lookUp(id)
    if (key !== undefined) return key
    // Only a set that was really asked says that a key id does not exist.
    if (fetched) this.#rememberAbsent(id)
    return 'key_unknown'
  }

  #refresh(): Promise<boolean> {
    clearTimeout(this.#timer)
    this.#nextAskedFetchMs = this.#options.now() + this.#options.cooldownMs
    this.#fetching = this.#load().finally(() => {
      this.#fetching = undefined
      this.#schedule()
    })
    return this.#fetching
  }

  async #load(): Promise<boolean> {
    const { url, fetch, timeoutMs, now, onEvent, parse } = this.#options
    const startedMs = now()
    const fetched = await fetchJson({ url, fetch, timeoutMs, maxBytes, signal: this.#closing.signal })
    if (this.#closing.signal.aborted) return false
    const document = fetched.ok ? parse(fetched.document) : fetched.reason
    if (typeof document === 'string') {
      this.#failures += 1
      const ageMs = this.#loadedAtMs === undefined ? {} : { ageMs: now() - this.#loadedAtMs }
      onEvent({ type: 'keys_failed', source: this.#source, reason: document, ...ageMs })
      return false
    }
    this.#replace(document.keys)
    for (const reason of document.skipped) onEvent({ type: 'key_skipped', source: this.#source, reason })
    const keys = document.keys.size
    onEvent({ type: 'keys_loaded', source: this.#source, keys, durationMs: now() - startedMs })
    for (const { resolve } of this.#waiting.splice(0)) resolve()
    return true
  }

  #replace(keys: ReadonlyMap<string, VerificationKey>): void {
    const retired = [...this.#previous].some(([id, old]) => !isSameKey(keys.get(id), old))
    const replaced = [...this.#keys].some(([id, old]) => keys.has(id) && !isSameKey(keys.get(id), old))
    this.#previous = new Map([...this.#keys].filter(([id]) => id !== noKeyId && !keys.has(id)))
    this.#keys = keys
    this.#failures = 0
    this.#loadedAtMs = this.#options.now()
    for (const id of keys.keys()) this.#absent.delete(id)
    if (retired || replaced) this.#options.onKeysRetired()
  }

  #lookUp(id: string): VerificationKey | undefined {
    return this.#keys.get(id) ?? this.#previous.get(id)
  }

  #isUsable(): boolean {
    return (
      this.#loadedAtMs !== undefined && this.#options.now() - this.#loadedAtMs <= this.#options.maxStaleMs
    )
  }

  #rememberAbsent(id: string): void {
    const [oldest] = this.#absent.keys()
    if (this.#absent.size >= maxAbsent && oldest !== undefined) this.#absent.delete(oldest)
    this.#absent.set(id, this.#options.now() + absentForMs)
  }

  /** After a failure sooner than usual, doubling: from half a second while there are no keys at all. */
  #schedule(): void {
    const { lazy, refreshMs, cooldownMs } = this.#options
    if (this.#closing.signal.aborted || (lazy && this.#loadedAtMs === undefined)) return
    const firstRetryMs = this.#loadedAtMs === undefined ? Math.min(500, cooldownMs) : cooldownMs
    const backoffMs = firstRetryMs * 2 ** Math.min(this.#failures - 1, 20)
    const longestMs = this.#loadedAtMs === undefined ? cooldownMs : refreshMs
    const delayMs = this.#failures === 0 ? refreshMs : Math.min(backoffMs, longestMs)
    const jittered = delayMs * (0.8 + Math.random() * 0.4)
    this.#timer = setTimeout(() => void this.#refresh(), jittered).unref()
  }
}

function isSameKey(one: VerificationKey | undefined, other: VerificationKey): boolean {
  return one?.key.equals(other.key) ?? false
}

function closedError(): AuthError {
  return new AuthError('closed', 'The verifier was closed')
}
