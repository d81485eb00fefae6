import type { JSX } from 'preact'
import type { PageState } from '../page-state.ts'

/** Short words that go by themselves. */
export function Notices({ page }: { readonly page: PageState }): JSX.Element {
  return (
    <div class="notices" role="log" aria-label="Notices">
      {page.notices.map(({ id, tone, text }) => (
        <p key={id} class="notice" data-tone={tone}>
          {text}
        </p>
      ))}
    </div>
  )
}
