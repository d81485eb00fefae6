import type { JSX } from 'preact'
import { nameOf } from '../names.ts'
import { Avatar } from './avatar.tsx'

interface SignInProps {
  readonly users: readonly string[]
  readonly onPick: (user: string) => void
}

/** The first thing one sees: pick who to be. */
export function SignIn({ users, onPick }: SignInProps): JSX.Element {
  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <p class="suits" aria-hidden="true">
          <span>♠</span> <span class="red">♥</span> <span>♣</span> <span class="red">♦</span>
        </p>
        <h1>Who sits down?</h1>
        <p>
          A play-money table on the real gateway. Open this page twice, as two of them, or let a robot play
          against you; then cut the link and watch nothing get lost.
        </p>
        <ul class="people-grid">
          {users.map((user) => (
            <li key={user}>
              <button type="button" class="person-button" onClick={() => onPick(user)}>
                <Avatar user={user} />
                <span>{nameOf(user)}</span>
              </button>
            </li>
          ))}
        </ul>
        <p class="fine-print">
          For development: no password, tokens live 15 minutes and renew by themselves.
        </p>
      </div>
    </main>
  )
}
