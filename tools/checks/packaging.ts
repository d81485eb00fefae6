import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../lib/run.ts'

/**
 * Packs a built package as it would be published and looks at the tarball: publint for its manifest and files, attw
 * for its types in every resolution mode (node10, node16 from CommonJS and from ESM, bundler).
 */
export async function checkPackaging(folder: string): Promise<readonly string[]> {
  const work = mkdtempSync(join(tmpdir(), 'gw-pack-'))
  try {
    const packed = await run(['pnpm', 'pack', '--pack-destination', work], { cwd: folder })
    const name = readdirSync(work).find((file) => file.endsWith('.tgz'))
    if (packed.code !== 0 || name === undefined) return [`pnpm pack failed\n${packed.output}`]
    const tarball = join(work, name)
    const results = [
      await run(['publint', 'run', tarball, '--strict'], { cwd: work }),
      await run(['attw', tarball, '--profile', 'strict', '--no-emoji', '--format', 'table-flipped'], {
        cwd: work,
      }),
    ]
    return results.flatMap(({ code, output }) => (code === 0 ? [] : [output]))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
