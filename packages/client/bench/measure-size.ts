import { brotliCompressSync, gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'

/** What a browser downloads for `import { createClient } from '@gw/client'`, in bytes. */
export interface Size {
  readonly minified: number
  readonly gzip: number
  readonly brotli: number
}

/** Bundles the SDK with its part of `@gw/protocol` for a browser, minified, from source. */
export async function measureSize(): Promise<Size> {
  const entry = new URL('../src/index.ts', import.meta.url).pathname
  const bundle = await rolldown({
    input: 'size-entry',
    platform: 'browser',
    resolve: { conditionNames: ['@gw/source', 'import', 'browser', 'default'] },
    plugins: [
      {
        name: 'size-entry',
        resolveId: (id) => (id === 'size-entry' ? id : undefined),
        load: (id) =>
          id === 'size-entry' ? `export { createClient } from ${JSON.stringify(entry)}` : undefined,
      },
    ],
  })
  const { output } = await bundle.generate({ format: 'esm', minify: true })
  await bundle.close()
  const code = output.map((chunk) => (chunk.type === 'chunk' ? chunk.code : '')).join('')
  return {
    minified: Buffer.byteLength(code),
    gzip: gzipSync(code, { level: 9 }).length,
    brotli: brotliCompressSync(code).length,
  }
}
