/**
 * `npm run check`: everything a release must pass besides the tests. `npm run check -- lint types` runs only these.
 */
import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { checkDocs, checkProtoCode } from './checks/generated.ts'
import { checkLinks } from './checks/links.ts'
import { checkOldApi } from './checks/old-api.ts'
import { checkPackaging } from './checks/packaging.ts'
import { checkWords } from './checks/words.ts'
import { run } from './lib/run.ts'
import { runSteps, type Step, type StepResult } from './lib/steps.ts'
import { root, workspacePackages } from './lib/workspace.ts'

/** A step that is one command: it passes when the command exits with 0. */
function command(name: string, line: readonly string[]): Step {
  return {
    name,
    check: async () => {
      const { code, output } = await run(line)
      return code === 0 ? [] : [output.trimEnd() || `${line.join(' ')} failed without a word`]
    },
  }
}

const turbo: readonly string[] = ['turbo', 'run', '--continue', '--output-logs=errors-only', '--ui=stream']

// The long ones first, so that the short ones fill the gaps.
const all: readonly Step[] = [
  command('build packages', [...turbo, 'build', '--filter=./packages/*']),
  command('types', [...turbo, 'typecheck']),
  { ...command('build apps', [...turbo, 'build', '--filter=./apps/*']), after: ['build packages'] },
  { name: 'old api', after: ['build packages'], check: async () => checkOldApi() },
  command('lint', ['oxlint', '--deny-warnings']),
  command('format', ['oxfmt', '--check']),
  command('boundaries', ['turbo', 'boundaries']),
  { name: 'words', check: async () => checkWords(root) },
  command('unused', ['knip', '--no-config-hints']),
  { name: 'generated code', check: async () => checkProtoCode(root) },
  { name: 'generated docs', check: async () => checkDocs(root) },
  { name: 'links', check: async () => checkLinks(root) },
  ...workspacePackages()
    .filter(({ published }) => published)
    .map(({ folder }) => ({
      name: `package ${basename(folder)}`,
      after: ['build packages'],
      check: async () => checkPackaging(folder),
    })),
]

function print({ name, status, durationMs, problems }: StepResult): void {
  const mark = { passed: '✓', failed: '✗', skipped: '-' }[status]
  console.log(
    `${mark} ${name.padEnd(24)} ${status.padEnd(8)} ${(durationMs / 1000).toFixed(1).padStart(6)} s`,
  )
  for (const problem of problems) console.log(problem.replaceAll(/^/gm, '    '))
}

function select(wanted: readonly string[]): readonly Step[] {
  if (wanted.length === 0) return all
  const chosen = new Set(all.filter(({ name }) => wanted.some((word) => name.includes(word))))
  for (const step of chosen)
    for (const name of step.after ?? []) chosen.add(all.find((other) => other.name === name) ?? step)
  return [...chosen]
}

const steps: readonly Step[] = select(process.argv.slice(2))
const results: readonly StepResult[] = await runSteps(steps, {
  limit: availableParallelism(),
  onResult: print,
})
const passed: number = results.filter(({ status }) => status === 'passed').length
console.log(`\n${passed} passed, ${results.length - passed} failed`)
process.exitCode = results.length > 0 && passed === results.length ? 0 : 1
