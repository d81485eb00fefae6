import { type ChatEntry, limits } from '@gw/protocol'
import type { JSX } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { crashPrefix } from '../crash-test.ts'
import { nameOf } from '../names.ts'
import type { PageState } from '../page-state.ts'
import type { Session } from '../session.ts'
import { chatFieldId } from '../shortcuts.ts'
import { useNow } from '../use-now.ts'

interface ChatProps {
  readonly page: PageState
  readonly session: Session
}

/** The table's chat: history, live, who is writing, and a field. */
export function Chat({ page, session }: ChatProps): JSX.Element {
  const { table, user } = page
  const entries = table?.chat ?? []
  const list = useRef<HTMLDivElement>(null)
  const isAtEnd = useRef(true)
  const newest = entries.at(-1)?.id

  useLayoutEffect(() => {
    const element = list.current
    if (element && isAtEnd.current) element.scrollTop = element.scrollHeight
  }, [newest])

  return (
    <section class="panel chat" aria-labelledby="chat-title">
      <h2 id="chat-title">Chat</h2>
      <div
        ref={list}
        class="chat-list"
        role="log"
        aria-label="Messages"
        tabIndex={0}
        onScroll={({ currentTarget }) => {
          isAtEnd.current =
            currentTarget.scrollHeight - currentTarget.scrollTop - currentTarget.clientHeight < 40
        }}
      >
        {table?.hasOlderChat && (
          <button type="button" class="quiet" onClick={() => void session.loadOlderChat()}>
            Older messages
          </button>
        )}
        {entries.length === 0 && <p class="muted">{table ? 'Say hello.' : 'Open a table to talk.'}</p>}
        {entries.map((entry) => (
          <Line key={entry.id} entry={entry} isMine={entry.userId === user} />
        ))}
      </div>
      <TypingLine page={page} />
      <ChatField session={session} isOff={table === undefined} />
    </section>
  )
}

function Line({ entry, isMine }: { readonly entry: ChatEntry; readonly isMine: boolean }): JSX.Element {
  const isTest = entry.text.startsWith(crashPrefix)
  const time = new Date(entry.ts).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
  return (
    <p class="line" data-mine={isMine ? '' : undefined} data-test={isTest ? '' : undefined}>
      <span class="line-who">{isMine ? 'You' : nameOf(entry.username)}</span>
      <span class="line-text">{entry.text}</span>
      <time dateTime={entry.ts}>{time}</time>
    </p>
  )
}

function TypingLine({ page }: { readonly page: PageState }): JSX.Element {
  const typing = page.table?.typing ?? new Map<string, number>()
  const now = useNow(1000, typing.size > 0)
  const names = [...typing].filter(([, until]) => until > now).map(([userId]) => nameOf(userId))
  return (
    <p class="typing" role="status">
      {names.length > 0 && `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} writing…`}
    </p>
  )
}

interface ChatFieldProps {
  readonly session: Session
  readonly isOff: boolean
}

function ChatField({ session, isOff }: ChatFieldProps): JSX.Element {
  const [text, setText] = useState('')
  const [isSending, setSending] = useState(false)
  const send = async (): Promise<void> => {
    const message = text.trim()
    if (message === '' || isSending) return
    setSending(true)
    if (await session.say(message)) setText((now) => (now.trim() === message ? '' : now))
    setSending(false)
  }
  return (
    <form
      class="chat-form"
      onSubmit={(event) => {
        event.preventDefault()
        void send()
      }}
    >
      <input
        id={chatFieldId}
        type="text"
        autoComplete="off"
        aria-label="Message"
        aria-keyshortcuts="/"
        placeholder={isOff ? 'Open a table first' : 'Message'}
        maxLength={limits.maxChatLength}
        disabled={isOff}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value)
          if (event.currentTarget.value.trim() !== '') session.typing()
        }}
      />
      <button type="submit" disabled={isOff || isSending || text.trim() === ''}>
        Send
      </button>
    </form>
  )
}
