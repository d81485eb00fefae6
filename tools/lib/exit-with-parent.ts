/**
 * Preloaded into the processes that `npm start` starts: their stdin is a pipe from the starter, and when it closes
 * (the starter is gone, however it died) they stop as on SIGTERM. No process is left behind, even after kill -9.
 */
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const stop = (): void => {
    process.kill(process.pid, 'SIGTERM')
  }
  process.stdin.once('end', stop).once('error', stop).resume()
  if ('unref' in process.stdin) process.stdin.unref()
}
