/**
 * One question for all who want to know: who asks while an answer is under way shares the next one, since the state that
 * it tells of may be older than the asking.
 *
 *   asked ─▶ [ under way ]──▶ answered
 *              asked, asked ─▶ [ under way ]──▶ both answered
 */
export function shareRounds<T>(ask: () => Promise<T>): () => Promise<T> {
  let current: Promise<unknown> | undefined
  let next: Promise<T> | undefined

  async function begin(): Promise<T> {
    await current?.catch(() => {})
    next = undefined
    const asked = ask()
    current = asked
    try {
      return await asked
    } finally {
      if (current === asked) current = undefined
    }
  }

  return () => (next ??= begin())
}
