/** A function that writes milliseconds since the epoch as ISO 8601: `Date` is asked once a second, it takes a microsecond. */
export function isoTime(): (ms: number) => string {
  let second = Number.NaN
  let text = ''
  return (ms) => {
    const now = Math.floor(ms / 1000)
    if (now !== second) {
      text = new Date(now * 1000).toISOString().slice(0, -4)
      second = now
    }
    return `${text}${String(Math.floor(ms) - now * 1000).padStart(3, '0')}Z`
  }
}
