/**
 * Entry of every root script: `node tools/run.js <start|test|check|fix|generate|chaos|fan-out> [arguments]`.
 * Plain JavaScript, so that a Node that is too old to read TypeScript still gets a sentence instead of a syntax error.
 */
const [name, ...rest] = process.argv.slice(2)

if (Number.parseInt(process.versions.node, 10) < 24) {
  console.error(
    `This project's own processes run on Node 24, but on ${process.platform}-${process.arch} none comes with ` +
      `the dependencies and the installed one is ${process.version}: install Node 24 (https://nodejs.org) and retry.`,
  )
  process.exit(1)
}
process.argv.splice(1, process.argv.length, new URL(`${name}.ts`, import.meta.url).pathname, ...rest)
await import(`./${name}.ts`)
