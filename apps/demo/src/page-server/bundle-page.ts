import { readdir, readFile } from 'node:fs/promises'
import { rolldown } from 'rolldown'
import type { PageFiles } from './page-files.ts'

const source: URL = new URL('../page/', import.meta.url)

/** Builds the page from its source in about 0.1 s; its tsconfig.json says how JSX is read. Throws with the bundler's words when it does not compile. */
export async function bundlePage(): Promise<PageFiles> {
  const bundle = await rolldown({
    input: new URL('main.tsx', source).pathname,
    platform: 'browser',
    resolve: { conditionNames: ['@gw/source', 'import', 'browser', 'default'] },
  })
  const { output } = await bundle.generate({ format: 'esm', minify: true, sourcemap: 'inline' })
  await bundle.close()
  return {
    'index.html': await readFile(new URL('index.html', source), 'utf8'),
    'page.css': await styles(),
    'page.js': output[0].code,
  }
}

/** One style sheet of the files in `styles/`, in the order of their names. */
async function styles(): Promise<string> {
  const folder = new URL('styles/', source)
  const names = (await readdir(folder)).filter((name) => name.endsWith('.css')).toSorted()
  const sheets = await Promise.all(names.map(async (name) => readFile(new URL(name, folder), 'utf8')))
  return sheets.join('\n')
}
