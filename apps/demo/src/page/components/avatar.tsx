import type { JSX } from 'preact'

/** A coloured initial: the same colour for a name everywhere. */
export function Avatar({ user }: { readonly user: string }): JSX.Element {
  const hue = Array.from(user).reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7)
  return (
    <span class="avatar" style={{ '--hue': String(hue) }} aria-hidden="true">
      {user.slice(0, 1).toUpperCase()}
    </span>
  )
}
