import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../../..')

/** `name level` of everything that the gateway and its logging package write. */
function eventsOfCode(): string[] {
  const events = new Set<string>()
  for (const file of globSync('{apps/gateway,packages/observability}/src/**/*.ts', { cwd: root })) {
    const source = readFileSync(join(root, file), 'utf8')
    for (const [, level, name] of source.matchAll(
      /(?:logger|audit)\s*\.(error|warn|info|debug)\(\s*'([a-z][a-z0-9_]*)'/g,
    ))
      events.add(`${name} ${level}`)
    for (const [, level, one, other] of source.matchAll(
      /logger\s*\.(error|warn|info|debug)\(\s*\w+ \? '([a-z_]+)' : '([a-z_]+)'/g,
    ))
      for (const name of [one, other]) events.add(`${name} ${level}`)
    for (const [, name] of source.matchAll(/logger\.lines\('([a-z_]+)'/g)) events.add(`${name} info`)
    for (const [, level, name] of source.matchAll(/put\('(\w+)', '([a-z_]+)'/g))
      events.add(`${name} ${level}`)
    for (const [, level, name] of source.matchAll(/\? '(\w+)' : 'debug'\]\('([a-z_]+)'/g))
      events.add(`${name} ${level}`)
    for (const [, name] of source.matchAll(/onFailure\(\s*'([a-z][a-z0-9_]*)'/g)) events.add(`${name} warn`)
  }
  return [...events].sort()
}

test('docs/log-events.md lists every event that is logged, once, with its level', () => {
  const rows = readFileSync(join(root, 'docs/log-events.md'), 'utf8').matchAll(
    /^\| `([a-z_]+)`\s*\| (error|warn|info|debug)\s*\|/gm,
  )
  const documented = [...rows].map(([, name, level]) => `${name} ${level}`)
  expect(new Set(documented).size).toBe(documented.length)
  expect(eventsOfCode().length).toBeGreaterThan(30)
  expect(eventsOfCode().filter((event) => !documented.includes(event))).toEqual([])
})

test('no event is logged by anything but its name', () => {
  for (const file of globSync('apps/gateway/src/**/*.ts', { cwd: root })) {
    const source = readFileSync(join(root, file), 'utf8')
    expect([
      file,
      ...source.matchAll(/logger\s*\.(?:error|warn|info|debug)\(\s*(?!\s|'|\w+ \? '[a-z_]+' : ')./g),
    ]).toEqual([
      file,
      // `onFailure` hands a name on; its callers are looked at above.
      ...(file.endsWith('src/observe.ts') ? [expect.anything()] : []),
    ])
  }
})
