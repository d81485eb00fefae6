/** Pieces of input that several routes take. */
import { z } from 'zod'

/** Whatever: the route doesn't look at it. */
export const nothing = z.unknown()

/** An id of a table, a user, …: opaque, not blank. */
export const id = z.string().trim().min(1).max(128)

/** The parameters of `/api/tables/:tableId/…`. */
export const tableParams = z.object({ tableId: id })

/** A number that may come as a decimal string, as the web client sends it. */
export const wholeNumber = z
  .union([
    z.number(),
    z
      .string()
      .trim()
      .regex(/^\d{1,15}$/)
      .transform(Number),
  ])
  .pipe(z.int().min(0))

/** Seats are numbered from 0. */
export const seatId = wholeNumber.pipe(z.int().max(8))
