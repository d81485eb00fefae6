/**
 * The tools that guard who may import whom must catch what they are there for: every forbidden pair is planted in a
 * copy of the workspace, and the rules of this repository (.oxlintrc.json, turbo.json) must name each, and no other.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../lib/run.ts'
import { isObject, readObject, root, workspacePackages } from '../lib/workspace.ts'

const general = [
  'auth',
  'chat',
  'connections',
  'observability',
  'protocol',
  'pubsub',
  'ratelimit',
  'send-all',
] as const

/** What the sources of each may import, from the architecture; whoever is not named may import nothing. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  gateway: general,
  demo: ['client', 'protocol', 'pubsub'],
  client: ['protocol'],
}
/** What each may declare as a dependency: also what its tests use, and chat's types. */
const mayDeclare: Readonly<Record<string, readonly string[]>> = {
  ...mayImport,
  gateway: [...general, 'client'],
  chat: ['pubsub'],
  connections: ['send-all'],
}

const bin = join(root, 'node_modules/.bin')
const folders = workspacePackages().map(({ folder }) => relative(root, folder))
const names = folders.map((folder) => basename(folder))
let copy = ''

function plant(file: string, text: string): void {
  writeFileSync(join(copy, file), text)
}

function pairs(): readonly { readonly from: string; readonly folder: string; readonly to: string }[] {
  return folders.flatMap((folder) =>
    names.map((to) => ({ from: basename(folder), folder, to })).filter(({ from, to }) => from !== to),
  )
}

async function lint(): Promise<readonly string[]> {
  const { output } = await run([join(bin, 'oxlint'), '--format', 'json'], { cwd: copy })
  const report: unknown = JSON.parse(output)
  if (!isObject(report) || !Array.isArray(report['diagnostics'])) throw new Error(output)
  return report['diagnostics']
    .filter(isObject)
    .filter(({ code }) => String(code).includes('no-restricted-imports'))
    .map(({ filename }) => basename(String(filename), '.ts'))
}

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'gw-boundaries-'))
  for (const file of ['package.json', 'pnpm-workspace.yaml', 'turbo.json'])
    cpSync(join(root, file), join(copy, file))
  const config = readObject(join(root, '.oxlintrc.json'))
  plant('.oxlintrc.json', JSON.stringify({ ...config, options: {} }))
  for (const folder of folders) {
    mkdirSync(join(copy, folder, 'src'), { recursive: true })
    for (const file of ['package.json', 'turbo.json'])
      cpSync(join(root, folder, file), join(copy, folder, file))
  }
})

afterAll(() => rmSync(copy, { recursive: true, force: true }))

test('the linter names every forbidden import between packages, and no allowed one', async () => {
  for (const { from, folder, to } of pairs()) {
    plant(`${folder}/src/${from}-${to}.ts`, `import { x } from '@gw/${to}'\nexport const y: unknown = x\n`)
    plant(
      `${folder}/src/${from}-${to}-deep.ts`,
      `import { x } from '@gw/${to}/redis'\nexport const y: unknown = x\n`,
    )
  }
  const forbidden = pairs()
    .filter(({ from, to }) => !(mayImport[from] ?? []).includes(to))
    .flatMap(({ from, to }) => [`${from}-${to}`, `${from}-${to}-deep`])
  expect([...new Set(await lint())].toSorted()).toEqual(forbidden.toSorted())
})

test('the linter lets chat have the types of pubsub, and nobody else', async () => {
  for (const { from, folder, to } of pairs())
    plant(`${folder}/src/${from}-${to}-type.ts`, `import type { X } from '@gw/${to}'\nexport type Y = X\n`)
  const allowed = { ...mayImport, chat: ['pubsub'] }
  const found = (await lint()).filter((name) => name.endsWith('-type'))
  const forbidden = pairs()
    .filter(({ from, to }) => !(allowed[from as keyof typeof allowed] ?? []).includes(to))
    .map(({ from, to }) => `${from}-${to}-type`)
  expect([...new Set(found)].toSorted()).toEqual(forbidden.toSorted())
})

test('turbo names every forbidden dependency, an undeclared one, and an import that leaves its package', async () => {
  for (const folder of folders) {
    const manifest = readObject(join(copy, folder, 'package.json'))
    const others = names
      .filter((name) => name !== basename(folder))
      .map((name) => [`@gw/${name}`, 'workspace:*'])
    plant(`${folder}/package.json`, JSON.stringify({ ...manifest, dependencies: Object.fromEntries(others) }))
    rmSync(join(copy, folder, 'src'), { recursive: true })
    mkdirSync(join(copy, folder, 'src'))
  }
  plant('packages/auth/src/relative.ts', "import '../../pubsub/src/index.ts'\n")
  plant('packages/auth/src/undeclared.ts', "import 'left-out'\n")
  const { output, code } = await run([join(bin, 'turbo'), 'boundaries', '--no-color'], { cwd: copy })
  // Messages are wrapped at the terminal's width, also within a name.
  const text = output.replace(/\n\s*\|\s*/g, '').replaceAll(' ', '')
  const found = [...text.matchAll(/Package`@gw\/([\w-]+)`foundwith[^`]*`@gw\/([\w-]+)`/g)].map(
    ([, to, from]) => `${from}-${to}`,
  )
  const forbidden = pairs()
    .filter(
      ({ from, to }) => !(mayDeclare[from] ?? []).includes(to) && (to !== 'testing' || from === 'testing'),
    )
    .map(({ from, to }) => `${from}-${to}`)
  expect(code).not.toBe(0)
  expect([...new Set(found)].toSorted()).toEqual(forbidden.toSorted())
  expect(text).toContain('import`../../pubsub/src/index.ts`leavesthepackage')
  expect(text).toContain('cannotimportpackage`left-out`')
})

test('every package has a rule: a new one cannot come without', () => {
  const { boundaries } = readObject(join(root, 'turbo.json'))
  const tags = isObject(boundaries) && isObject(boundaries['tags']) ? Object.keys(boundaries['tags']) : []
  expect(tags.toSorted()).toEqual(names.toSorted())
  const config = readFileSync(join(root, '.oxlintrc.json'), 'utf8')
  for (const name of names)
    expect(config).toMatch(new RegExp(`(?:packages|apps)/[^"]*\\b${name}\\b[^"]*/src`))
})
