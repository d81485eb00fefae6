import { useEffect, useState } from 'preact/hooks'

/** The time, in ms since 1970, anew every `everyMs`; standing still while `isOn` is false. */
export function useNow(everyMs: number, isOn: boolean = true): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    if (!isOn) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs, isOn])
  return now
}
