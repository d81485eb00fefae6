import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, type RunResult } from '../lib/run.ts'
import { root } from '../lib/workspace.ts'

const packages = ['auth', 'ratelimit']
const install = ['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', '--no-save']
const esmPrints = '["token_malformed",true,false,"function","function","function"]'

/**
 * Installs the packed @gw/auth and @gw/ratelimit as their users do: alone, where nothing else may come with them, and in
 * a copy of fixtures/old-api, an Express 4 app in CommonJS TypeScript that must type-check with TypeScript 5.4 (the old
 * `node` resolution) and 7, pass its own tests, and be importable as ESM. Needs built packages, and npm's cache or registry.
 */
export async function checkOldApi(): Promise<readonly string[]> {
  const work = mkdtempSync(join(tmpdir(), 'gw-old-api-'))
  try {
    const problems: string[] = []
    for (const name of packages) {
      const { code, output } = await run(['pnpm', 'pack', '--pack-destination', work], {
        cwd: join(root, 'packages', name),
      })
      if (code !== 0) problems.push(`pnpm pack of ${name} failed\n${output}`)
    }
    if (problems.length > 0) return problems
    const tarballs = readdirSync(work)
      .filter((file) => file.endsWith('.tgz'))
      .map((file) => join(work, file))
    return [...(await checkAlone(join(work, 'alone'), tarballs)), ...(await checkApp(work, tarballs))]
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** What comes with an installation, besides the packages themselves: nothing. */
async function checkAlone(folder: string, tarballs: readonly string[]): Promise<readonly string[]> {
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const installed = await run([...install, '--omit=peer', ...tarballs], { cwd: folder })
  if (installed.code !== 0) return failed('npm install of the packages alone', installed)
  const modules = join(folder, 'node_modules')
  const found = [...readdirSync(modules), ...readdirSync(join(modules, '@gw'))].filter(
    (name) => !name.startsWith('.') && name !== '@gw' && !packages.includes(name),
  )
  return found.length === 0 ? [] : [`The packages bring with them: ${found.join(', ')}`]
}

async function checkApp(work: string, tarballs: readonly string[]): Promise<readonly string[]> {
  const app = join(work, 'app')
  cpSync(join(root, 'tools/fixtures/old-api'), app, { recursive: true })
  const installed = await run([...install, ...tarballs], { cwd: app })
  if (installed.code !== 0) return failed('npm install of the app', installed)
  const node = process.execPath
  const compiled = [
    [
      'TypeScript 5.4, node resolution',
      await run([node, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.ts5.json'], { cwd: app }),
    ],
    [
      'TypeScript 7, node16 resolution',
      await run([node, 'node_modules/typescript-7/bin/tsc', '-p', 'tsconfig.ts7.json'], { cwd: app }),
    ],
  ] as const
  const problems = compiled.flatMap(([what, result]) => (result.code === 0 ? [] : failed(what, result)))
  if (problems.length > 0) return problems
  const tests = await run([node, '--test', 'dist/test/app.test.js'], { cwd: app })
  const esm = await run([node, 'dist-ts7/esm-consumer.mjs'], { cwd: app })
  return [
    ...(tests.code === 0 && /pass 3\b/.test(tests.output) ? [] : failed('its tests', tests)),
    ...(esm.code === 0 && esm.output === esmPrints ? [] : failed('the ESM consumer', esm)),
  ]
}

function failed(what: string, { output }: RunResult): readonly string[] {
  return [`old-api, ${what}:\n${output.trimEnd()}`]
}
