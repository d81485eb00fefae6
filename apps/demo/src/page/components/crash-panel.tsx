import type { JSX } from 'preact'
import type { CrashReport } from '../crash-test.ts'
import type { PageState } from '../page-state.ts'
import type { Session } from '../session.ts'
import { useStore } from '../store.ts'

interface CrashPanelProps {
  readonly page: PageState
  readonly session: Session
}

const troubles = [
  { kind: 'slow', name: 'slow' },
  { kind: 'failing', name: 'failing' },
  { kind: 'hanging', name: 'hanging' },
  { kind: 'none', name: 'well' },
] as const

/** Breaks things on purpose: the link under a burst of chat, or a backend. */
export function CrashPanel({ page, session }: CrashPanelProps): JSX.Element {
  const report = useStore(session.crash)
  const isRunning = report !== undefined && !report.isDone
  return (
    <section class="panel crash" aria-labelledby="crash-title">
      <h2 id="crash-title">Crash test</h2>
      <p class="muted">
        Twelve chat lines, the link cut six times among them: each must come back exactly once.
      </p>
      <div class="button-row">
        <button
          type="button"
          class="danger"
          disabled={isRunning || page.table === undefined}
          onClick={() => void session.crashTest()}
        >
          {isRunning ? 'Running…' : 'Run the crash test'}
        </button>
      </div>
      {report && <Report report={report} />}
      <div class="button-row" role="group" aria-label="Game, the backend of the tables">
        <span class="row-name">Game is</span>
        {troubles.map(({ kind, name }) => (
          <button key={kind} type="button" onClick={() => void session.trouble(kind)}>
            {name}
          </button>
        ))}
      </div>
    </section>
  )
}

function Report({ report }: { readonly report: CrashReport }): JSX.Element {
  const { sent, planned, accepted, refused, cuts, seen, lost, doubled, isDone } = report
  const isGood = isDone && lost === 0 && doubled === 0 && refused === 0
  return (
    <div class="report" role="status" data-done={isDone ? '' : undefined} data-good={isGood ? '' : undefined}>
      <progress value={seen} max={planned} aria-label="Lines that came back" />
      <p>
        {sent} sent, {accepted} accepted{refused > 0 && `, ${refused} refused`}, {cuts} cuts, {seen} came back
      </p>
      <p class="verdict">
        <span data-field="lost">{isDone ? lost : '–'} lost</span>
        <span data-field="doubled">{doubled} doubled</span>
      </p>
    </div>
  )
}
