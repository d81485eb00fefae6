import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** When it resolves, `WeakRef`s to what nothing else holds are empty. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  // What a WeakRef gave or got in this job stays until its end.
  await setImmediate()
  collect()
}
