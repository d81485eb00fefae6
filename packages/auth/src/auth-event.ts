/** Why a fetch of keys failed. */
export type KeyFetchFailure =
  | 'timeout'
  | 'network'
  | 'status'
  | 'redirect'
  | 'too_large'
  | 'not_json'
  | 'not_a_key_set'
  | 'too_many_keys'
  | 'no_usable_keys'

/**
 * What happened inside, for logs and metrics. `source` is the URL without its query; nothing here holds a token, a
 * secret or a claim. `ageMs` is the time since the last good fetch, absent when there was none.
 */
export type AuthEvent =
  | {
      readonly type: 'keys_loaded'
      readonly source: string
      readonly keys: number
      readonly durationMs: number
    }
  | {
      readonly type: 'keys_failed'
      readonly source: string
      readonly reason: KeyFetchFailure
      readonly ageMs?: number
    }
  | { readonly type: 'key_skipped'; readonly source: string; readonly reason: string }
  | { readonly type: 'revoked'; readonly kind: 'subject' | 'session' | 'token' }
  | { readonly type: 'listener_failed'; readonly error: unknown }
