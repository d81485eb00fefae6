/** A user as people read it. */
export function nameOf(userId: string): string {
  return userId.slice(0, 1).toUpperCase() + userId.slice(1)
}

/** Chips with thousands set apart. */
export function chips(amount: number): string {
  return amount.toLocaleString('en-US')
}
