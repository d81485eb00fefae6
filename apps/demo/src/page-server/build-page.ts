/** Part of `npm run build`: leaves the page in dist/page. */
import { mkdir, writeFile } from 'node:fs/promises'
import { bundlePage } from './bundle-page.ts'

const target = new URL('../../dist/page/', import.meta.url)
await mkdir(target, { recursive: true })
for (const [name, text] of Object.entries(await bundlePage())) await writeFile(new URL(name, target), text)
