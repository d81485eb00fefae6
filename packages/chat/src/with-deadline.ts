import { ChatError } from './chat-error.ts'

/** The promise's outcome, or `ChatError` `timeout` after `timeoutMs`; what comes later is dropped, also a rejection. */
export async function withDeadline<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const expired = new Promise<never>((_resolve, reject) => {
    const expire = (): void => reject(new ChatError('timeout', `No answer in ${timeoutMs} ms`))
    timer = setTimeout(expire, timeoutMs)
  })
  try {
    return await Promise.race([promise, expired])
  } finally {
    clearTimeout(timer)
  }
}
