import { readFile } from 'node:fs/promises'

/** The three files that are the page, by name. */
export interface PageFiles {
  readonly 'index.html': string
  readonly 'page.css': string
  readonly 'page.js': string
}

/** From source: bundled now. Built: what `npm run build` left in `dist/page`. */
export async function loadPageFiles(): Promise<PageFiles> {
  if (import.meta.url.endsWith('.ts')) {
    const { bundlePage } = await import('./bundle-page.ts')
    return bundlePage()
  }
  const read = async (name: string): Promise<string> =>
    readFile(new URL(`../page/${name}`, import.meta.url), 'utf8')
  return {
    'index.html': await read('index.html'),
    'page.css': await read('page.css'),
    'page.js': await read('page.js'),
  }
}
