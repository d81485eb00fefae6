import type { JSX } from 'preact'
import { nameOf } from '../names.ts'
import type { PageState } from '../page-state.ts'
import { placeHash } from '../place.ts'
import { Avatar } from './avatar.tsx'

/** Who is online, away or offline, and a way to be one of the others in another tab. */
export function People({ page }: { readonly page: PageState }): JSX.Element {
  const { presence, table, user } = page
  const seated = new Set(table?.state?.seats.map(({ userId }) => userId))
  const watching = new Set(table?.state?.spectators.map(({ userId }) => userId))
  return (
    <section class="panel people" aria-labelledby="people-title">
      <h2 id="people-title">People</h2>
      <ul class="people-list">
        {Object.entries(presence).map(([userId, status]) => (
          <li key={userId} data-user={userId} data-status={status}>
            <Avatar user={userId} />
            <span class="person-name">
              {nameOf(userId)}
              {userId === user && <span class="muted"> (you)</span>}
            </span>
            <span class="person-where">
              {seated.has(userId) ? 'playing' : watching.has(userId) ? 'watching' : ''}
            </span>
            {userId !== user && status === 'offline' && (
              <a
                href={placeHash({ user: userId, tableId: table?.tableId })}
                target="_blank"
                rel="noopener"
                title={`Open the page as ${nameOf(userId)} in a new tab`}
              >
                Be {nameOf(userId)} ↗
              </a>
            )}
            <span class="status" data-status={status}>
              {status}
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}
