/**
 *          find(kid)                      background, every refreshMs +-20 %
 *             |                                      |
 *   known? -- yes -> key                             |
 *             no                                     v
 *          cooldown? -- yes -> unknown               fetch (one at a time) -> ok: new set, previous kept one round
 *             no: claim the cooldown, then ----------^                  \-> failed: old set stays, up to maxStaleMs
 *
 * The cooldown is claimed before the fetch and kept when it fails: random key ids, or a provider that is down, cost at
 * most one fetch per cooldown, and a key that was just rotated in costs one.
 */
import type { AuthEvent, KeyFetchFailure } from './auth-event.ts'
import { AuthError } from './auth-error.ts'
import { maxTimerMs } from './check-numbers.ts'
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

/** The keys behind one URL, fetched whole, kept fresh in the background, served stale while the provider is down. */
export class RemoteKeySet implements KeyLookup {
  readonly #options: RemoteKeySetOptions
  readonly #source: string
  readonly #closing = new AbortController()
  #keys: ReadonlyMap<string, VerificationKey> = new Map()
  #previous: ReadonlyMap<string, VerificationKey> = new Map()
  #loadedAtMs: number | undefined
  #failures = 0
  #nextAskedFetchMs = -Infinity
  #fetching: Promise<void> | undefined
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
    if (!this.#mayFetch()) return usable ? 'key_unknown' : 'keys_unavailable'
    return this.#findAfterFetch(id)
  }

  renew(): Promise<KeyAnswer> | undefined {
    return this.#mayFetch() ? this.#findAfterFetch(noKeyId) : undefined
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
    await (this.#fetching ?? this.#refresh())
    if (!this.#isUsable()) return 'keys_unavailable'
    return this.#lookUp(id) ?? 'key_unknown'
  }

  #mayFetch(): boolean {
    const isDue = this.#fetching !== undefined || this.#options.now() >= this.#nextAskedFetchMs
    return isDue && !this.#closing.signal.aborted
  }

  #refresh(): Promise<void> {
    clearTimeout(this.#timer)
    this.#nextAskedFetchMs = this.#options.now() + this.#options.cooldownMs
    this.#fetching = this.#load().finally(() => {
      this.#fetching = undefined
      this.#schedule()
    })
    return this.#fetching
  }

  async #load(): Promise<void> {
    const { url, fetch, timeoutMs, now, onEvent, parse } = this.#options
    const startedMs = now()
    const fetched = await fetchJson({ url, fetch, timeoutMs, maxBytes, signal: this.#closing.signal })
    if (this.#closing.signal.aborted) return
    const document = fetched.ok ? parse(fetched.document) : fetched.reason
    if (typeof document === 'string') {
      this.#failures += 1
      const ageMs = this.#loadedAtMs === undefined ? {} : { ageMs: now() - this.#loadedAtMs }
      onEvent({ type: 'keys_failed', source: this.#source, reason: document, ...ageMs })
      return
    }
    this.#replace(document.keys)
    for (const reason of document.skipped) onEvent({ type: 'key_skipped', source: this.#source, reason })
    const keys = document.keys.size
    onEvent({ type: 'keys_loaded', source: this.#source, keys, durationMs: now() - startedMs })
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  #replace(keys: ReadonlyMap<string, VerificationKey>): void {
    const retired = [...this.#previous].some(([id, old]) => !isSameKey(keys.get(id), old))
    const replaced = [...this.#keys].some(([id, old]) => keys.has(id) && !isSameKey(keys.get(id), old))
    this.#previous = new Map([...this.#keys].filter(([id]) => id !== noKeyId && !keys.has(id)))
    this.#keys = keys
    this.#failures = 0
    this.#loadedAtMs = this.#options.now()
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

  /** After a failure sooner than usual, doubling: from half a second while there are no keys at all. */
  #schedule(): void {
    const { lazy, refreshMs, cooldownMs } = this.#options
    if (this.#closing.signal.aborted || (lazy && this.#loadedAtMs === undefined)) return
    const firstRetryMs = this.#loadedAtMs === undefined ? Math.min(500, cooldownMs) : cooldownMs
    const backoffMs = firstRetryMs * 2 ** Math.min(this.#failures - 1, 20)
    const longestMs = this.#loadedAtMs === undefined ? cooldownMs : refreshMs
    const delayMs = this.#failures === 0 ? refreshMs : Math.min(backoffMs, longestMs)
    const jittered = delayMs * (0.8 + Math.random() * 0.4)
    this.#timer = setTimeout(() => void this.#refresh(), Math.min(jittered, maxTimerMs)).unref()
  }
}

function isSameKey(one: VerificationKey | undefined, other: VerificationKey): boolean {
  return one?.key.equals(other.key) ?? false
}

function closedError(): AuthError {
  return new AuthError('closed', 'The verifier was closed')
}
