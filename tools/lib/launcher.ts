/**
 * Calls back once when the process that started us is gone: npm passes SIGINT and SIGTERM on, but cannot pass on its
 * own SIGKILL. Only a parent's death changes the parent id. Returns a function that ends the watch.
 */
export function watchLauncher(onGone: () => void, intervalMs = 150): () => void {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    onGone()
  }, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}
