import { globSync } from 'node:fs'

const skipped: ReadonlySet<string> = new Set(['node_modules', 'dist', 'reports', '.turbo', '.git'])

/** Files of the repository that match the glob, relative and sorted; dependencies and build output are not looked at. */
export function listFiles(root: string, pattern: string): readonly string[] {
  return globSync(pattern, {
    cwd: root,
    exclude: (path) => skipped.has(path.split('/').at(-1) ?? ''),
  }).toSorted()
}
