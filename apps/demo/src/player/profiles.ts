import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { PlatformError } from '../platform-error.ts'

/** What a player likes to see and hear. */
export interface Preferences {
  readonly soundEnabled: boolean
  readonly chatEnabled: boolean
  readonly showHandStrength: boolean
  readonly theme: string
}

/** A player as others see it. Times are ISO 8601. */
export interface Profile {
  readonly userId: string
  readonly username: string
  readonly nickname: string
  readonly avatarUrl: string
  readonly preferences: Preferences
  readonly referredBy: string
  readonly lastLoginAt: string
  readonly createdAt: string
  readonly updatedAt: string
  readonly isDeleted: boolean
}

/** What an update changes; an absent field stays as it is. */
export interface ProfileChange {
  readonly nickname?: string
  readonly avatarUrl?: string
  readonly preferences?: Preferences
}

const maxProfiles = 100_000
const defaults: Preferences = { soundEnabled: true, chatEnabled: true, showHandStrength: true, theme: 'auto' }

/** All profiles in memory. Reading a missing one creates it, as the platform's web client expects. */
export class Profiles {
  readonly #profiles = new Map<string, Profile>()
  readonly #userByNickname = new Map<string, string>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The profile, created when missing; a non-blank username is written down. */
  open(userId: string, hints: { readonly username?: string; readonly referrerId?: string } = {}): Profile {
    const known = this.#profiles.get(userId)
    const username = hints.username?.trim() ?? ''
    if (known) {
      if (username === '' || username === known.username || known.isDeleted) return known
      return this.#write({ ...known, username })
    }
    if (this.#profiles.size >= maxProfiles) throw new PlatformError('RESOURCE_EXHAUSTED', 'Too many profiles')
    const now = this.#now()
    const nickname = this.#freshNickname(userId)
    this.#userByNickname.set(nickname.toLowerCase(), userId)
    return this.#write({
      userId,
      username,
      nickname,
      avatarUrl: '',
      preferences: defaults,
      referredBy: hints.referrerId ?? '',
      lastLoginAt: now,
      createdAt: now,
      updatedAt: now,
      isDeleted: false,
    })
  }

  /** Applies a change. INVALID_ARGUMENT: nickname not 1-30 characters or taken, avatar not an http(s) URL. */
  update(userId: string, change: ProfileChange): Profile {
    const profile = this.open(userId)
    if (change.avatarUrl !== undefined && change.avatarUrl !== '') checkAvatar(change.avatarUrl)
    if (change.nickname !== undefined) this.#rename(profile, change.nickname)
    const nickname = change.nickname?.trim() ?? profile.nickname
    return this.#write({ ...profile, ...change, nickname, isDeleted: false })
  }

  /** Forgets name, picture and preferences; the id stays and shows as `Deleted User`. */
  remove(userId: string): void {
    const profile = this.open(userId)
    this.#userByNickname.delete(profile.nickname.toLowerCase())
    this.#write({
      ...profile,
      username: '',
      nickname: 'Deleted User',
      avatarUrl: '',
      preferences: defaults,
      isDeleted: true,
    })
  }

  #rename(profile: Profile, wish: string): void {
    const nickname = wish.trim()
    if (nickname.length < 1 || nickname.length > 30)
      throw new PlatformError('INVALID_ARGUMENT', 'Nickname must be 1-30 characters')
    const holder = this.#userByNickname.get(nickname.toLowerCase())
    if (holder !== undefined && holder !== profile.userId)
      throw new PlatformError('INVALID_ARGUMENT', 'Nickname is already taken')
    if (this.#userByNickname.get(profile.nickname.toLowerCase()) === profile.userId)
      this.#userByNickname.delete(profile.nickname.toLowerCase())
    this.#userByNickname.set(nickname.toLowerCase(), profile.userId)
  }

  #freshNickname(userId: string): string {
    const stem = `Player${userId.replaceAll(/[^a-zA-Z0-9]/g, '').slice(0, 8)}`
    for (;;) {
      const nickname =
        stem +
        randomInt(36 ** 4)
          .toString(36)
          .padStart(4, '0')
      if (!this.#userByNickname.has(nickname.toLowerCase())) return nickname
    }
  }

  #write(profile: Profile): Profile {
    const written = { ...profile, updatedAt: this.#now() }
    this.#profiles.set(profile.userId, written)
    return written
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString()
  }
}

function checkAvatar(avatarUrl: string): void {
  const url = URL.canParse(avatarUrl) ? new URL(avatarUrl) : null
  if (url && ['http:', 'https:'].includes(url.protocol) && avatarUrl.length <= 2048) return
  throw new PlatformError('INVALID_ARGUMENT', 'Avatar URL is invalid')
}
