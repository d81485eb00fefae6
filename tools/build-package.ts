/**
 * Builds the package in the working directory for publishing: ESM to dist/esm, CommonJS to dist/cjs, types beside both.
 * A `package.json` in dist/cjs marks that tree as CommonJS, so Node and every TypeScript resolution mode agree on it.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'

const commonJs = ['--module', 'commonjs', '--moduleResolution', 'bundler', '--verbatimModuleSyntax', 'false']

function compile(outDir: string, options: readonly string[]): void {
  execFileSync('tsc', ['-p', 'tsconfig.build.json', '--outDir', outDir, ...options], { stdio: 'inherit' })
}

rmSync('dist', { recursive: true, force: true })
compile('dist/esm', [])
compile('dist/cjs', commonJs)
mkdirSync('dist/cjs', { recursive: true })
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n')
