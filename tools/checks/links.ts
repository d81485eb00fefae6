import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { listFiles } from '../lib/files.ts'

/** Anchors of a Markdown text's headings, made as GitHub makes them. */
export function anchors(text: string): ReadonlySet<string> {
  const seen = new Map<string, number>()
  const result = new Set<string>()
  for (const [, heading = ''] of withoutCode(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-')
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    result.add(count === 0 ? slug : `${slug}-${count}`)
  }
  return result
}

/** Targets of a Markdown text's links and images that point into the repository. */
export function localLinks(text: string): readonly string[] {
  const plain = withoutCode(text).replace(/`[^`\n]*`/g, '')
  const inline = [...plain.matchAll(/\]\(<?([^)>\s]+)>?(?:\s+"[^"]*")?\)/g)]
  const defined = [...plain.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)]
  return [...inline, ...defined]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z][a-z\d+.-]*:/i.test(target))
}

/** Links in the repository's Markdown whose file or heading does not exist. */
export function checkLinks(root: string): readonly string[] {
  return listFiles(root, '**/*.md').flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    return localLinks(text).flatMap((link) => {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? join(root, file) : join(root, dirname(file), decodeURIComponent(path))
      if (!existsSync(target)) return [`${file} links to ${link}, which does not exist`]
      if (anchor === undefined || statSync(target).isDirectory() || !target.endsWith('.md')) return []
      return anchors(readFileSync(target, 'utf8')).has(anchor)
        ? []
        : [`${file} links to ${link}: no such heading`]
    })
  })
}

function withoutCode(text: string): string {
  return text.replace(/^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1[ \t]*$/gm, '')
}
