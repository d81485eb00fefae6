import { mkdir, rm, stat, utimes } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const touchEveryMs = 2000
/** A lock that its owner has not touched for so long was left behind by a process that died. */
const staleMs = 30_000

async function take(lock: string): Promise<boolean> {
  return mkdir(lock).then(
    () => true,
    () => false,
  )
}

async function ageMs(lock: string): Promise<number> {
  return stat(lock).then(
    (info) => Date.now() - info.mtimeMs,
    () => 0,
  )
}

/** One process at a time does the work, the others on the machine wait for it. The lock is a directory of that path. */
export async function withLock<T>(lock: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(lock), { recursive: true })
  while (!(await take(lock))) {
    if ((await ageMs(lock)) > staleMs) await rm(lock, { recursive: true, force: true })
    else await pause(50)
  }
  const touch = setInterval(() => {
    const now = new Date()
    void utimes(lock, now, now).catch(() => {})
  }, touchEveryMs)
  try {
    return await work()
  } finally {
    clearInterval(touch)
    await rm(lock, { recursive: true, force: true })
  }
}
