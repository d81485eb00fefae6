/** `npm run generate`: writes what is generated: the gRPC code from the .proto files, README's configuration table, the API document. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedApi, generatedReadme } from './checks/generated.ts'
import { run } from './lib/run.ts'
import { root } from './lib/workspace.ts'

const { code }: { code: number } = await run(['buf', 'generate'], { inherit: true })
writeFileSync(join(root, 'README.md'), await generatedReadme(root))
writeFileSync(join(root, 'docs/openapi.json'), await generatedApi(root))
process.exitCode = code
