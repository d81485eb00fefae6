import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { placeHash, readPlace } from '../place.ts'
import { exposeTraffic, type Session, startSession } from '../session.ts'
import { Room } from './room.tsx'
import { SignIn } from './sign-in.tsx'

/** Who is here, and with that what is shown: the choice of a user, or their room. */
export function App({ users }: { readonly users: readonly string[] }): JSX.Element {
  const [session, setSession] = useState<Session>()

  const enter = (user: string, tableId?: string): void => {
    const started = startSession(user, users)
    exposeTraffic(started)
    setSession(started)
    location.hash = placeHash({ user, tableId })
    if (tableId !== undefined) void started.open(tableId)
  }
  const leave = (): void => {
    session?.close()
    setSession(undefined)
    location.hash = ''
  }
  useEffect(() => {
    const { user, tableId } = readPlace(location.hash)
    if (user !== undefined && users.includes(user)) enter(user, tableId)
  }, [])

  return session ? (
    <Room session={session} onLeave={leave} />
  ) : (
    <SignIn users={users} onPick={(user) => enter(user)} />
  )
}
