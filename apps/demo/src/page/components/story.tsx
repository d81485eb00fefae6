import type { JSX } from 'preact'
import type { PageState } from '../page-state.ts'

/** What happened at the table, in sentences, the newest first. */
export function Story({ page }: { readonly page: PageState }): JSX.Element {
  return (
    <section class="panel story" aria-labelledby="story-title">
      <h2 id="story-title">At the table</h2>
      {page.story.length === 0 && <p class="muted">Nothing has happened yet.</p>}
      <ol class="story-list">
        {page.story.toReversed().map(({ id, text }) => (
          <li key={id}>{text}</li>
        ))}
      </ol>
    </section>
  )
}
