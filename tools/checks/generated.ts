import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listFiles } from '../lib/files.ts'
import { run } from '../lib/run.ts'

const start = '<!-- config:start -->'
const end = '<!-- config:end -->'

/** The text with the part between the configuration markers replaced. Throws when a marker is missing. */
export function withConfigTable(text: string, table: string): string {
  const from = text.indexOf(start)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`README.md has no ${start} … ${end}`)
  return `${text.slice(0, from + start.length)}\n\n${table.trim()}\n\n${text.slice(to)}`
}

/** README.md as it should be, with the table of the gateway's settings made from their schema. */
export async function generatedReadme(root: string): Promise<string> {
  const module: unknown = await import(join(root, 'apps/gateway/src/config.ts'))
  if (typeof module !== 'object' || module === null || !('configTable' in module))
    throw new Error('apps/gateway/src/config.ts exports no configTable')
  const { configTable } = module
  if (typeof configTable !== 'function') throw new Error('configTable is not a function')
  const table: unknown = configTable()
  return formatted(
    root,
    'README.md',
    withConfigTable(readFileSync(join(root, 'README.md'), 'utf8'), String(table)),
  )
}

/** docs/openapi.json as it should be, made from the gateway's routes. */
export async function generatedApi(root: string): Promise<string> {
  const module: unknown = await import(join(root, 'apps/gateway/src/http/document-api.ts'))
  if (typeof module !== 'object' || module === null || !('documentApi' in module))
    throw new Error('apps/gateway/src/http/document-api.ts exports no documentApi')
  const { documentApi } = module
  if (typeof documentApi !== 'function') throw new Error('documentApi is not a function')
  const document: unknown = documentApi()
  return formatted(root, 'openapi.json', JSON.stringify(document, null, 2))
}

/** The text as `npm run fix` would leave it: tables are aligned. */
async function formatted(root: string, name: string, text: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'gw-generated-'))
  const file = join(folder, name)
  try {
    writeFileSync(file, text)
    const { code, output } = await run(['oxfmt', '--config', join(root, '.oxfmtrc.json'), file], {
      cwd: folder,
    })
    if (code !== 0) throw new Error(output)
    return readFileSync(file, 'utf8')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether README.md's configuration table and docs/openapi.json are what the gateway's schemas give. */
export async function checkDocs(root: string): Promise<readonly string[]> {
  const read = (file: string): string => readFileSync(join(root, file), 'utf8')
  const problems: string[] = []
  if ((await generatedReadme(root)) !== read('README.md'))
    problems.push(
      "README.md: the configuration table differs from the gateway's schema; run `npm run generate`",
    )
  if ((await generatedApi(root)) !== read('docs/openapi.json'))
    problems.push("docs/openapi.json differs from the gateway's routes; run `npm run generate`")
  return problems
}

/** Whether the committed gRPC code is what `buf generate` makes of the .proto files. */
export async function checkProtoCode(root: string): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gw-gen-'))
  try {
    for (const command of [
      ['buf', 'lint'],
      ['buf', 'generate', '--output', folder],
    ]) {
      const { code, output } = await run(command, { cwd: root })
      if (code !== 0) return [output]
    }
    const fresh = listFiles(folder, 'apps/**/*_pb.ts')
    const committed = listFiles(root, 'apps/**/*_pb.ts')
    if (fresh.length === 0) return ['buf generate made nothing']
    return [...new Set([...fresh, ...committed])].flatMap((file) => {
      if (!committed.includes(file)) return [`${file} is missing; run \`npm run generate\``]
      if (!fresh.includes(file)) return [`${file} belongs to no .proto file`]
      const same = readFileSync(join(folder, file), 'utf8') === readFileSync(join(root, file), 'utf8')
      return same ? [] : [`${file} differs from its .proto file; run \`npm run generate\``]
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
