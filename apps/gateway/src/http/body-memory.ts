/**
 * The memory of request bodies. Node's parser gives each part of a body a buffer of its own, outside V8's heap. V8 frees
 * them when it collects, and for their sake it does so late and thoroughly: at 64 MB, by marking its whole heap, while
 * everybody waits. Collecting the young generation alone after every 8 MB costs a millisecond, and the same memory is used
 * again (docs/http.md).
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const mostBytes = 8_388_608

let sinceCollection = 0
let collectYoung: (() => void) | undefined

/** V8's own way for tests; its API has none. Does nothing in a V8 without it. */
function youngCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const collect: ((options: { readonly type: 'minor' }) => void) | undefined =
    runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  return () => collect?.({ type: 'minor' })
}

/** To be told of each part of a body that has passed, by all requests: the heap is the process's. */
export function bodyPassed(bytes: number): void {
  sinceCollection += bytes
  if (sinceCollection < mostBytes) return
  sinceCollection = 0
  collectYoung ??= youngCollector()
  collectYoung()
}
