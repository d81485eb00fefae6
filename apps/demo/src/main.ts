export const started: number = Date.now()
