import type { KeyFetchFailure } from './auth-event.ts'
import { type JsonObject, parseStrictJson } from './strict-json.ts'

export interface FetchJsonOptions {
  readonly url: URL
  readonly fetch: typeof globalThis.fetch
  readonly timeoutMs: number
  readonly maxBytes: number
  /** Aborted when the owner closes. */
  readonly signal: AbortSignal
}

export type FetchJsonResult =
  | { readonly ok: true; readonly document: JsonObject }
  | { readonly ok: false; readonly reason: KeyFetchFailure }

/**
 * GETs a small JSON object: one deadline over headers and body, a byte cap that holds while reading, no redirects (a
 * redirect would move the trust to a host nobody configured). Never rejects.
 */
export async function fetchJson(options: FetchJsonOptions): Promise<FetchJsonResult> {
  const timeout = AbortSignal.timeout(options.timeoutMs)
  const signal = AbortSignal.any([timeout, options.signal])
  try {
    return await Promise.race([load(options, signal), whenAborted(signal)])
  } catch {
    return { ok: false, reason: timeout.aborted ? 'timeout' : 'network' }
  }
}

async function load(options: FetchJsonOptions, signal: AbortSignal): Promise<FetchJsonResult> {
  const { fetch, url } = options
  const response = await fetch(url, { redirect: 'manual', signal, headers: { accept: 'application/json' } })
  if (response.status !== 200) {
    await response.body?.cancel()
    const isRedirect = response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)
    return { ok: false, reason: isRedirect ? 'redirect' : 'status' }
  }
  const body = await readBody(response, options.maxBytes)
  if (body === undefined) return { ok: false, reason: 'too_large' }
  const parsed = parseStrictJson(body)
  return parsed.ok ? { ok: true, document: parsed.value } : { ok: false, reason: 'not_json' }
}

async function readBody(response: Response, maxBytes: number): Promise<Buffer | undefined> {
  const reader = response.body?.getReader()
  const chunks: Uint8Array[] = []
  let bytes = 0
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    bytes += part.value.byteLength
    if (bytes > maxBytes) {
      await reader?.cancel()
      return undefined
    }
    chunks.push(part.value)
  }
  return Buffer.concat(chunks)
}

/** Also ends a wait on a `fetch` that does not honour its signal. */
function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
  })
}
