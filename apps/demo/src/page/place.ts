/** Where this tab is, kept in the address so that a reload or a link brings one back: `#alice/TABLE`. */
export interface Place {
  readonly user: string | undefined
  readonly tableId: string | undefined
}

export function readPlace(hash: string): Place {
  const [user, tableId] = hash.replace(/^#/, '').split('/').map(decodePart)
  return { user, tableId }
}

export function placeHash({ user, tableId }: Place): string {
  return `#${[user, tableId].flatMap((part) => (part ? [encodeURIComponent(part)] : [])).join('/')}`
}

function decodePart(part: string): string | undefined {
  if (part === '') return undefined
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
