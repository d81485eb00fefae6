/** `npm run fix`: what the tools can repair by themselves: lint fixes, then the format. */
import { run } from './lib/run.ts'

const { code: lint }: { code: number } = await run(['oxlint', '--fix'], { inherit: true })
const { code: format }: { code: number } = await run(['oxfmt'], { inherit: true })
process.exitCode = lint === 0 && format === 0 ? 0 : 1
