import type { LegalActions, Move } from './legal-actions.ts'

/** What the keys do, as the help dialog lists them. */
export const shortcuts = [
  { key: 'F', does: 'Fold' },
  { key: 'C', does: 'Check, or call' },
  { key: 'R', does: 'To the amount of a bet or raise; Enter makes it' },
  { key: 'A', does: 'All in' },
  { key: '/', does: 'To the chat' },
  { key: '?', does: 'This list' },
] as const

export interface ShortcutTargets {
  readonly legal: () => LegalActions | null
  readonly act: (move: Move) => void
  readonly toggleHelp: () => void
  readonly showChat: () => void
}

/** Ids of the fields that keys lead to. */
export const amountFieldId = 'amount'
export const chatFieldId = 'chat-text'

/** Listens on the document; gives the function that ends it. Keys that are typed into a field are the field's. */
export function listenForShortcuts(targets: ShortcutTargets): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return
    const { target } = event
    if (target instanceof Element && target.closest('input:not([type=range]), textarea, dialog')) return
    if (run(event.key.toLowerCase(), targets)) event.preventDefault()
  }
  document.addEventListener('keydown', onKey)
  return () => document.removeEventListener('keydown', onKey)
}

/** True when the key means something now. */
function run(key: string, { legal, act, toggleHelp, showChat }: ShortcutTargets): boolean {
  if (key === '?') {
    toggleHelp()
    return true
  }
  if (key === '/') {
    showChat()
    focus(chatFieldId)
    return true
  }
  const choices = legal()
  if (!choices) return false
  const { canCheck, raise } = choices
  if (key === 'f') act({ action: 'Fold' })
  else if (key === 'c') act({ action: canCheck ? 'Check' : 'Call' })
  else if (key === 'a') act(raise ? { action: raise.action, amount: raise.max } : { action: 'Call' })
  else if (key === 'r' && raise) focus(amountFieldId)
  else return false
  return true
}

/** After the next drawing: what is hidden now can't take the focus. */
function focus(id: string): void {
  requestAnimationFrame(() => {
    const field = document.querySelector<HTMLInputElement>(`#${id}`)
    field?.focus()
    field?.select()
  })
}
