import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isObject, readObject } from './workspace.ts'

/** One task of a turbo run. */
export interface TaskResult {
  /** The package. */
  readonly name: string
  readonly task: string
  /** Relative to the repository. */
  readonly folder: string
  readonly cached: boolean
  /** Undefined when it was not run, since one before it failed. */
  readonly exitCode: number | undefined
}

/**
 * Reads the newest summary that `turbo run --summarize` left in the folder, and removes them all. Empty when there is
 * none.
 */
export function takeSummary(runs: string): readonly TaskResult[] {
  // Names are KSUIDs: they sort by time.
  const files = list(runs).filter((name) => name.endsWith('.json'))
  const newest = files.toSorted().at(-1)
  if (newest === undefined) return []
  const { tasks } = readObject(join(runs, newest))
  for (const name of files) rmSync(join(runs, name), { force: true })
  return Array.isArray(tasks) ? tasks.filter(isObject).flatMap(taskResult) : []
}

function taskResult(task: Record<string, unknown>): readonly TaskResult[] {
  // Tasks without a command only order the others.
  if (task['command'] === '<NONEXISTENT>') return []
  const { cache, execution } = task
  const exitCode = isObject(execution) ? execution['exitCode'] : undefined
  return [
    {
      name: String(task['package']),
      task: String(task['task']),
      folder: String(task['directory']),
      cached: isObject(cache) && cache['status'] === 'HIT',
      exitCode: typeof exitCode === 'number' ? exitCode : undefined,
    },
  ]
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
